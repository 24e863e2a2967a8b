//! `#[blocking]` methods and constructors, which run on threads of their own.

use std::fmt;
use std::panic::resume_unwind;

use super::compute::{JobCaller, on_own_thread};
use super::scope::Scope;
use crate::call::CallError;
use crate::error::Error;
use crate::method::{StreamSink, TrySendItem, WeakStreamSink};

/// Runs a `#[blocking]` constructor on a thread of its own, because the replica and its compute
/// threads do not exist yet. If the start is given up, the instance that the constructor
/// returns is dropped on that thread.
///
/// # Errors
/// The constructor's own error, or an error if no thread can be started. A panic of the
/// constructor is resumed here.
#[doc(hidden)]
pub async fn blocking_constructor<D: Send + 'static>(
    construct: impl FnOnce() -> Result<D, Error> + Send + 'static,
) -> Result<D, Error> {
    let (scope, runtime, id) =
        Scope::for_constructor().expect("a constructor runs in the scope of its replica");
    let run = move || scope.enter(construct);
    match on_own_thread(&runtime, &id, run).await {
        Ok(Ok(made)) => made,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(error) => Err(Error::from(error).context("no thread for its constructor")),
    }
}

/// Runs `job` on the compute threads of the replica that the current call runs on.
///
/// The slot goes with the job and is freed when `job` returns, even if the call is dropped
/// before: a job cannot be interrupted.
#[doc(hidden)]
pub async fn blocking<T, E>(
    job: impl FnOnce() -> Result<T, CallError<E>> + Send + 'static,
) -> Result<T, CallError<E>>
where
    T: Send + 'static,
    E: Send + 'static,
{
    let (replica, scope) = Scope::lend_slot().expect("a `#[blocking]` method runs in a slot");
    let done = replica.compute.run(move || scope.enter(job));
    done.await.unwrap_or_else(|panic| {
        replica.panicked();
        Err(CallError::Panicked(panic))
    })
}

/// Runs `job` on the compute threads of the replica that the current call runs on, with a sink for
/// the items that `job` produces. The slot goes with the job, as in [`blocking`].
#[doc(hidden)]
pub async fn blocking_items<T, E>(
    items: &StreamSink<T, E>,
    job: impl FnOnce(&mut BlockingSink<'_, T, E>) + Send + 'static,
) -> Result<(), CallError<E>>
where
    T: Send + 'static,
    E: Send + 'static,
{
    let (replica, scope) = Scope::lend_slot().expect("a `#[blocking]` method runs in a slot");
    let items = items.downgrade();
    let done = replica.compute.run_for(move |caller| {
        scope.enter(|| {
            let mut sink = BlockingSink { items, caller };
            if !sink.is_over() {
                job(&mut sink);
            }
        });
    });
    done.await.map_err(|panic| {
        replica.panicked();
        CallError::Panicked(panic)
    })
}

/// Sends the items of a `#[blocking]` method, on its compute thread.
#[doc(hidden)]
pub struct BlockingSink<'a, T, E> {
    /// Weak, so that the stream ends with the call's task, which holds the strong sink, even
    /// while this thread still computes.
    items: WeakStreamSink<T, E>,
    caller: &'a mut JobCaller<()>,
}

impl<T, E> BlockingSink<'_, T, E> {
    /// Sends the items of `values`, each converted by `turn`, until they end or their consumer
    /// is gone. Then drops `values`.
    pub fn send_all<I>(
        &mut self,
        mut values: impl Iterator<Item = I>,
        turn: impl Fn(I) -> Result<T, CallError<E>>,
    ) {
        while !self.is_over()
            && let Some(value) = values.next()
            && self.send(turn(value))
        {}
    }

    /// Sends the error of a method that returned no iterator.
    pub fn fail(&mut self, error: E) {
        self.send(Err(CallError::App(error)));
    }

    /// True if the consumer is gone. Looks at the stream as well as at the call's task, because
    /// a task whose stream was dropped only ends when it is next polled.
    fn is_over(&self) -> bool {
        self.caller.is_gone() || self.items.upgrade().is_none_or(|items| items.is_closed())
    }

    /// Sends an item, and waits for room if there is none. Returns false if the consumer is gone.
    fn send(&mut self, item: Result<T, CallError<E>>) -> bool {
        let Some(items) = self.items.upgrade() else { return false };
        match items.try_send(item) {
            TrySendItem::Sent => true,
            TrySendItem::Closed => false,
            TrySendItem::Full(item) => {
                let place = self.caller.wait_for(items.reserve()).flatten();
                place.map(|place| place.send(item)).is_some()
            }
        }
    }
}

impl<T, E> fmt::Debug for BlockingSink<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockingSink")
    }
}
