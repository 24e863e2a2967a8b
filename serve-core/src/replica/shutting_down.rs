//! [`shutting_down`]: the future by which user code hears that it should come to an end.

use std::future::pending;
use std::pin::pin;

use futures::future::select;

use super::replica::Replica;
use super::scope::Scope;
use crate::call::stopping::Stopping;

/// The moment at which a replica begins to drain, kept on the replica.
#[derive(Default)]
struct Draining(Stopping);

impl Replica {
    /// Notifies the replica's code that the replica takes no more calls and will stop.
    pub(crate) fn begin_draining(&self) {
        self.extensions.get_or_make(Draining::default).0.begin();
    }
}

/// Returns a future that resolves when the running code should come to an end: when its runtime
/// begins to shut down, or when its replica drains, because it is replaced, scaled away or deleted.
///
/// A method that would run for long, a stream without an end, a WebSocket and a task in the
/// background can end early by it, with a result, instead of being dropped when the time for running
/// calls is over (`graceful_shutdown_timeout`). Nothing else happens when the future resolves: calls
/// that the method makes are served as before.
///
/// The future belongs to the code that calls this function, and may be moved to another task, such
/// as that of a WebSocket: call it in the method or in the handler, before the task is spawned. It
/// resolves at once if the shutdown has begun. Outside of any runtime, it never resolves.
///
/// ```
/// use std::time::Duration;
///
/// use serve_core::futures::stream;
/// use serve_core::prelude::*;
///
/// #[deployment]
/// #[derive(Default)]
/// struct Clock;
///
/// #[handle]
/// impl Clock {
///     /// Ticks until the clock is shut down, and says good-bye.
///     #[get("/ticks")]
///     pub fn ticks(&self) -> impl Stream<Item = String> {
///         let ticks = stream::unfold((), |()| async {
///             tokio::time::sleep(Duration::from_secs(1)).await;
///             Some(("tick\n".to_owned(), ()))
///         });
///         let end = serve_core::shutting_down();
///         ticks.take_until(end).chain(stream::iter(["bye\n".to_owned()]))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// # tokio::time::pause();
/// # let runtime = MockRuntime::builder().start();
/// # let clock = runtime.run(Clock::bind()).await?;
/// # let ticks = clock.ticks();
/// # let shutdown = async { tokio::time::sleep(Duration::from_millis(2_500)).await; runtime.shutdown().await };
/// # let (items, ()) = tokio::join!(ticks.collect::<Vec<_>>(), shutdown);
/// # let items: Vec<_> = items.into_iter().map(|item| item.unwrap()).collect();
/// # assert_eq!(items, ["tick\n", "tick\n", "bye\n"]);
/// # Ok(())
/// # }
/// ```
#[must_use = "a future does nothing until it is awaited"]
pub fn shutting_down() -> impl Future<Output = ()> + Send + 'static {
    let (runtime, replica) = Scope::current(|scope| {
        let replica = scope.and_then(Scope::serving_replica);
        let runtime = match replica {
            Some(replica) => Some(replica.compute.runtime()),
            None => scope.and_then(Scope::runtime),
        };
        (runtime, replica.map(|replica| replica.extensions.get_or_make(Draining::default)))
    });
    async move {
        let shutdown = async {
            match &runtime {
                Some(runtime) => runtime.stopping.begun().await,
                None => pending().await,
            }
        };
        let drain = async {
            match &replica {
                Some(draining) => draining.0.begun().await,
                None => pending().await,
            }
        };
        select(pin!(shutdown), pin!(drain)).await;
    }
}
