//! `#[retry]`: calls that run again if their replica dies after they began.

use std::sync::Arc;

use parking_lot::Mutex;

use super::acquire::Acquire;
use super::handle::Handle;
use super::served::Served;
use super::serving::Serving;
use super::start::{Head, Split, start};
use crate::call::pending::{Callee, Outcome, QueuePosition, Ticket};
use crate::call::{CallError, Response};
use crate::method::{Method, Unary};
use crate::replica::Scope;
use crate::router::{Place, Router, wanted};

/// Starts a call that may run again if its replica dies after the call began. `begin` makes the
/// method's future, for each try.
pub(super) fn call<M, B, F>(
    handle: &Handle<M::Deployment>,
    args: Split<M::Args>,
    begin: B,
) -> Response<M::Ok, M::Err>
where
    M: Unary,
    B: FnOnce(&mut Option<Scope>, M::Args) -> F + Clone + Send + 'static,
    F: Served<Ok = M::Ok, Err = M::Err, Args = M::Args> + Send + 'static,
{
    let kept = args.as_ref().ok().and_then(M::copy_args);
    let router = Arc::clone(handle.router());
    let (mut pending, task) = start(
        handle.router(),
        M::INFO.name,
        handle.head(),
        args,
        wanted::<M>,
        |acquire, head, position| {
            router.earn_retry();
            // Each try has a place of its own, so the response looks the ticket up when it is
            // dropped.
            let ticket = match position {
                QueuePosition::Started => Arc::default(),
                QueuePosition::Queued(ticket) => Arc::new(Mutex::new(Some(*ticket))),
                QueuePosition::Moving(ticket) => Arc::clone(ticket),
            };
            let position = QueuePosition::Moving(Arc::clone(&ticket));
            let tokio = router.spawner().tokio.clone();
            let kept = Arc::new(Mutex::new(kept));
            let tries = Tries::<M> { router, head, ticket, kept };
            (tokio.spawn(tries.run(acquire, begin)), position)
        },
    );
    match task {
        Ok((task, position)) => {
            pending.position = position;
            Response::running(pending, task)
        }
        Err(error) => Response::refused(pending, error.widen()),
    }
}

/// A call that may run again, without its current try.
struct Tries<M: Method> {
    router: Arc<Router>,
    head: Head,
    /// The place of the current try in the queue, which a dropped response gives back.
    ticket: Arc<Mutex<Option<Ticket>>>,
    /// A copy of the arguments for the next try.
    kept: Arc<Mutex<Option<M::Args>>>,
}

impl<M: Unary> Tries<M> {
    /// Runs the call, and runs it again whenever its replica dies and there is a retry left.
    async fn run<B, F>(
        self,
        mut acquire: Acquire<Router, M::Args>,
        begin: B,
    ) -> Outcome<M::Ok, M::Err>
    where
        B: FnOnce(&mut Option<Scope>, M::Args) -> F + Clone,
        F: Served<Ok = M::Ok, Err = M::Err, Args = M::Args>,
    {
        for retry in 0..M::RETRIES {
            let (kept, begin) = (Arc::clone(&self.kept), begin.clone());
            let begin_keeping = move |scope: &mut Option<Scope>, args: M::Args| {
                let mut kept = kept.lock();
                // Arguments from other calls were not there to be copied when the call was made.
                if kept.is_none() {
                    *kept = M::copy_args(&args);
                }
                drop(kept);
                begin(scope, args)
            };
            let outcome = self.serve(acquire, begin_keeping).await;
            let died =
                matches!(outcome.as_ref().map_err(|error| &**error), Err(error) if died(error));
            let again =
                if died && self.router.spend_retry() { self.kept.lock().take() } else { None };
            let Some(args) = again else {
                return if retry > 0 { outcome.map_err(it_had_run) } else { outcome };
            };
            tracing::trace!(
                parent: Callee::span(&*self.router),
                method = M::INFO.name,
                retry = retry + 1,
                "runs again, because its replica died"
            );
            let place =
                self.router.place_again().map_err(|error| it_had_run(Box::new(error.widen())))?;
            *self.ticket.lock() = place.ticket();
            acquire = match place {
                Place::Now(slot) => Acquire::ready(slot, args),
                Place::Queued(queued) => Acquire::queued(queued, args),
            };
        }
        self.serve(acquire, begin).await.map_err(it_had_run)
    }

    fn serve<B, F>(
        &self,
        acquire: Acquire<Router, M::Args>,
        begin: B,
    ) -> Serving<Router, M::Args, B, F>
    where
        B: FnOnce(&mut Option<Scope>, M::Args) -> F + Clone,
        F: Served<Args = M::Args>,
    {
        Serving::new(acquire, self.head.clone(), begin)
    }
}

/// True if the replica that ran the call is gone, as far as the caller can know.
fn died<E>(error: &CallError<E>) -> bool {
    matches!(error, CallError::Unavailable { started: true, .. } | CallError::Transport(_))
}

/// The same failure for a call that had begun in an earlier try: the method may have run,
/// even if the last try did not begin.
fn it_had_run<E>(mut error: Box<CallError<E>>) -> Box<CallError<E>> {
    if let CallError::Unavailable { started, .. } = &mut *error {
        *started = true;
    }
    error
}
