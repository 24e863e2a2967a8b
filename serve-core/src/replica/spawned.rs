//! [`spawn`] and [`in_context`]: code that runs apart from its call, with the context of the call.

use std::pin::Pin;
use std::task::{self, Poll};

use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::scope::{Entered, Scope};

/// Spawns a task that keeps the context of the running code, like `tokio::spawn` otherwise.
///
/// In the task, [`context()`](crate::context()) returns the request id, the deadline, the route, the
/// model, the session and the trace of the request that the method serves, and
/// [`replica_context()`](crate::replica_context()) the method's replica. Calls that the task makes
/// belong to the request and have its deadline. Events are recorded in the current tracing span.
/// Outside of any call, this function does what `tokio::spawn` does.
///
/// **The task is not the method's**, as with tokio: dropping the handle detaches the task. So it goes
/// on when the method returns, and when the call is cancelled or its deadline passes; only calls that
/// the task makes after the deadline fail with `DeadlineExceeded`. The task takes no slot, and neither
/// a graceful shutdown nor the end of the replica waits for it. For tasks that end with the method,
/// use a `JoinSet` and [`in_context`], and for work that has to be finished, await the handle.
///
/// # Panics
/// If the running code serves no request and there is no current tokio runtime.
///
/// ```
/// use serve_core::prelude::*;
///
/// #[deployment]
/// #[derive(Default)]
/// struct Journal;
///
/// #[handle]
/// impl Journal {
///     pub async fn write(&self, entry: String) -> String {
///         format!("{}: {entry}", context().request_id())
///     }
/// }
///
/// #[deployment]
/// struct Desk(JournalHandle);
///
/// #[handle]
/// impl Desk {
///     pub fn new(journal: JournalHandle) -> Self {
///         Self(journal)
///     }
///
///     pub async fn order(&self) -> Result<String> {
///         let journal = self.0.clone();
///         let writing = serve_core::spawn(async move { journal.write("an order").await });
///         Ok(writing.await??)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let runtime = Runtime::builder().start().await?;
/// let desk = runtime.run(Desk::bind(Journal::bind())).await?;
/// let desk = desk.options(CallOptions::new().request_id("7"));
/// assert_eq!(desk.order().await?, "7: an order");
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let tokio = Scope::current(|scope| Some(scope?.runtime()?.tokio.clone()));
    let tokio = tokio.or_else(|| Handle::try_current().ok());
    let Some(tokio) = tokio else {
        panic!(
            "`serve_core::spawn` was called outside of a tokio runtime; call it from async code, or \
             enter a runtime first"
        );
    };
    tokio.spawn(in_context(future))
}

/// Wraps a future so that it keeps the context of the code that calls this function, wherever the
/// future is polled.
///
/// For ways to run a future other than [`spawn`](crate::spawn()), such as a `JoinSet`, whose tasks end
/// when it is dropped: with the method, when its call is cancelled.
///
/// ```
/// use serve_core::prelude::*;
/// use tokio::task::JoinSet;
///
/// #[deployment]
/// struct Searcher;
///
/// #[handle]
/// impl Searcher {
///     pub fn new() -> Self {
///         Self
///     }
///
///     pub async fn search(&self, shards: u64) -> Vec<String> {
///         let mut searches = JoinSet::new();
///         for shard in 0..shards {
///             searches.spawn(serve_core::in_context(async move {
///                 format!("{shard} for {}", context().request_id())
///             }));
///         }
///         searches.join_all().await
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let runtime = Runtime::builder().start().await?;
/// let searcher = runtime.run(Searcher::bind()).await?;
/// let searcher = searcher.options(CallOptions::new().request_id("7"));
/// assert!(searcher.search(3u64).await?.contains(&"2 for 7".to_owned()));
/// # Ok(())
/// # }
/// ```
pub fn in_context<F: Future>(future: F) -> impl Future<Output = F::Output> + use<F> {
    let scope = Scope::current(|scope| scope.map(Scope::for_spawned));
    InContext { future: Some(future), scope }.in_current_span()
}

pin_project! {
    /// A future with a scope of its own.
    struct InContext<F> {
        #[pin]
        future: Option<F>,
        scope: Option<Scope>,
    }

    impl<F> PinnedDrop for InContext<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                let _entered = Entered::new(this.scope);
                this.future.set(None);
            }
        }
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let _entered = if this.scope.is_some() {
            Some(Entered::awaiting(this.scope, cx.waker()))
        } else {
            // The future runs in whatever scope polls it.
            None
        };
        let future = this.future.as_mut().as_pin_mut().expect("polled again after it was ready");
        let polled = future.poll(cx);
        if polled.is_ready() {
            // Dropped while its scope is current, as it is when it is cancelled.
            this.future.set(None);
        }
        polled
    }
}
