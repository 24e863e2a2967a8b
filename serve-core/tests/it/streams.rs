//! Methods that return many values.

use crate::support::runtimes;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serve_core::prelude::*;
use tokio::time::sleep;

#[deployment(max_ongoing_requests = 1)]
struct Counting(Arc<AtomicUsize>);

#[handle]
impl Counting {
    fn new(made: Arc<AtomicUsize>) -> Self {
        Self(made)
    }

    pub fn count(&self, to: usize) -> impl Stream<Item = usize> {
        futures::stream::iter(0..to).inspect(|_| {
            self.0.fetch_add(1, Ordering::SeqCst);
        })
    }

    pub async fn refused(&self) -> Result<impl Stream<Item = u32>> {
        if self.0.load(Ordering::SeqCst) < usize::MAX {
            return Err(Error::msg("not today"));
        }
        Ok(futures::stream::empty())
    }

    pub async fn idle(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_finished_stream_frees_its_slot() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let counting = runtime.run(Counting::bind(Arc::default())).await?;
    let items: Vec<usize> = counting.count(100).try_collect().await?;
    assert_eq!(items, (0..100).collect::<Vec<_>>());
    assert!(counting.idle().await?);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn slow_consumers_hold_back_the_producer() -> Result<()> {
    let made = Arc::new(AtomicUsize::new(0));
    let runtime = runtimes::by_environment().await?;
    let counting = runtime.run(Counting::bind(made.clone())).await?;
    let mut stream = counting.count(1_000_000);
    assert_eq!(stream.next().await, Some(Ok(0)));
    sleep(Duration::from_secs(60)).await;
    assert!(made.load(Ordering::SeqCst) <= 20, "{made:?} were made for a consumer that took one");
    drop(stream);
    assert!(counting.idle().await?);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_streams_own_error_is_its_first_item() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let counting = runtime.run(Counting::bind(Arc::default())).await?;
    let items: Vec<_> = counting.refused().collect().await;
    assert!(matches!(&items[..], [Err(CallError::App(error))] if error.to_string() == "not today"));
    Ok(())
}

#[tokio::test]
async fn synchronous_code_can_read_streams() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let counting = runtime.run(Counting::bind(Arc::default())).await?;
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let items: std::result::Result<Vec<_>, _> = counting.count(50).blocking_iter().collect();
        let _ = done.send(items);
    });
    assert_eq!(result.await??, (0..50).collect::<Vec<_>>());
    Ok(())
}
