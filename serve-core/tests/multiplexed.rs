//! Models on demand, inside running deployments.
#![allow(unreachable_pub, reason = "a handle has the public methods, and a test no public face")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join;
use serve_core::prelude::*;
use tokio::time::sleep;

/// Where models come from: takes a second for each.
#[deployment]
#[derive(Default)]
struct Store;

#[handle]
impl Store {
    pub async fn fetch(&self, id: String) -> String {
        sleep(Duration::from_secs(1)).await;
        format!("model {id}")
    }
}

#[deployment]
struct Models {
    models: Multiplexed<(String, usize)>,
}

#[handle]
impl Models {
    fn new(store: StoreHandle, loads: Arc<AtomicUsize>) -> Self {
        let load = move |id: String| {
            let (store, loads) = (store.clone(), Arc::clone(&loads));
            async move {
                loads.fetch_add(1, Ordering::SeqCst);
                let rank = replica_context().map_or(usize::MAX, |replica| replica.rank());
                assert_eq!(context().multiplexed_model_id(), Some(id.as_str()));
                assert_eq!(context().deadline(), None);
                Ok::<_, CallError>((store.fetch(id).await?, rank))
            }
        };
        Self { models: Multiplexed::new(2, load) }
    }

    pub async fn answer(&self) -> Result<String> {
        let model = self.models.current().await?;
        let (name, rank) = &*model;
        Ok(format!("{name} on {rank}"))
    }
}

fn asking(id: &str) -> CallOptions {
    CallOptions::new().multiplexed_model_id(id)
}

#[tokio::test(start_paused = true)]
async fn a_call_gets_the_model_that_it_names() -> Result<()> {
    let loads = Arc::new(AtomicUsize::new(0));
    let runtime = Runtime::builder().start().await?;
    let models = runtime.run(Models::bind(Store::bind(), Arc::clone(&loads))).await?;
    for id in ["a", "b", "a", "b"] {
        assert_eq!(models.options(asking(id)).answer().await?, format!("model {id} on 0"));
    }
    assert_eq!(loads.load(Ordering::SeqCst), 2);
    let error = models.answer().await.unwrap_err();
    assert!(error.to_string().contains("names no model"), "{error}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_load_that_others_wait_for_outlives_the_deadline_of_its_first_caller() -> Result<()> {
    let loads = Arc::new(AtomicUsize::new(0));
    let runtime = Runtime::builder().start().await?;
    let models = runtime.run(Models::bind(Store::bind(), Arc::clone(&loads))).await?;
    let hurried = models.options(asking("a").timeout(Duration::from_millis(100)));
    let patient = models.options(asking("a"));
    let (late, answered) = join(hurried.answer(), patient.answer()).await;
    assert!(matches!(late, Err(CallError::DeadlineExceeded)), "{late:?}");
    assert_eq!(answered?, "model a on 0");
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    Ok(())
}
