//! `#[retry]`: calls that run again if their replica dies after they began.

use std::sync::Arc;

use parking_lot::Mutex;

use super::acquire::Acquire;
use super::served::Served;
use super::serving::Serving;
use super::start::{Head, Split, start};
use crate::call::callee::{Callee, Ticket};
use crate::call::in_place;
use crate::call::pending::{Outcome, QueuePosition};
use crate::call::{CallError, Response};
use crate::replica::Scope;
use crate::router::{Called, Placement, RouteRequest, Router};

/// The rules by which calls of a method run again.
#[derive(Clone, Copy)]
pub(super) struct Retry<C> {
    /// The method's name.
    pub(super) method: &'static str,
    /// The method's index.
    pub(super) index: usize,
    /// The number of times that a call may run again.
    pub(super) max: usize,
    /// True if calls begin in the order of their admission.
    pub(super) in_order: bool,
    /// Copies the arguments.
    pub(super) copy: C,
}

/// Starts a call that may run again if its replica dies after the call began. `begin` makes the
/// method's future, for each try.
pub(super) fn call<A, C, B, F>(
    router: &Arc<Router>,
    retry: Retry<C>,
    head: Head,
    args: Split<A>,
    wanted: impl for<'a> Fn(&'a A) -> RouteRequest<'a> + Send + 'static,
    begin: B,
) -> Response<F::Ok, F::Err>
where
    A: Send + 'static,
    C: Fn(&A) -> Option<A> + Copy + Send + 'static,
    B: FnOnce(&mut Option<Scope>, A) -> F + Clone + Send + 'static,
    F: Served<Ok: Send, Err: Send, Args = A> + Send + 'static,
{
    let kept = Arc::new(Mutex::new(args.as_ref().ok().and_then(retry.copy)));
    let (mut pending, task) = start(
        router,
        retry.method,
        Called::spawned(retry.index),
        head,
        args,
        wanted,
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
            let tries = Tries { router: Arc::clone(router), head, retry, ticket, kept };
            let first = tries.serving(acquire, 0, begin.clone());
            let first =
                if retry.in_order || router.is_remote() { first.begin_now() } else { first };
            in_place::call_spawned();
            (router.runtime().tokio.spawn(tries.run(first, begin)), position)
        },
    );
    let task = task.map(|(task, position)| {
        pending.position = position;
        task
    });
    Response::started(pending, task)
}

/// A call that may run again.
struct Tries<A, C> {
    router: Arc<Router>,
    head: Head,
    retry: Retry<C>,
    /// The ticket of the current try, for the response to give its place back.
    ticket: Arc<Mutex<Option<Ticket>>>,
    /// The arguments for the next try.
    kept: Arc<Mutex<Option<A>>>,
}

impl<A: Send + 'static, C: Fn(&A) -> Option<A> + Copy + Send + 'static> Tries<A, C> {
    /// Runs the call, and runs it again whenever its replica dies and there is a retry left.
    async fn run<K, B, F>(self, first: Serving<Router, A, K, F>, begin: B) -> Outcome<F::Ok, F::Err>
    where
        K: FnOnce(&mut Option<Scope>, A) -> F + Clone,
        B: FnOnce(&mut Option<Scope>, A) -> F + Clone + Send + 'static,
        F: Served<Args = A>,
    {
        let mut outcome = first.await;
        for retry in 1..=self.retry.max {
            let died =
                matches!(outcome.as_ref().map_err(|error| &**error), Err(error) if died(error));
            let again =
                if died && self.router.spend_retry() { self.kept.lock().take() } else { None };
            let Some(args) = again else {
                return if retry > 1 { outcome.map_err(it_had_run) } else { outcome };
            };
            tracing::trace!(
                parent: Callee::span(&*self.router),
                method = self.retry.method,
                retry,
                "runs again, because its replica died"
            );
            let place =
                self.router.place_again().map_err(|error| it_had_run(Box::new(error.widen())))?;
            *self.ticket.lock() = place.ticket();
            let acquire = match place {
                Placement::Now(slot) => Acquire::ready(slot, args),
                Placement::Queued(queued) => Acquire::queued(queued, args),
            };
            outcome = self.serving(acquire, retry, begin.clone()).await;
        }
        outcome.map_err(it_had_run)
    }

    /// The try after this many retries. A try keeps a copy of its arguments, unless it is the last.
    fn serving<B, F>(
        &self,
        acquire: Acquire<Router, A>,
        retries: usize,
        begin: B,
    ) -> Serving<
        Router,
        A,
        impl FnOnce(&mut Option<Scope>, A) -> F + Clone + Send + use<A, B, C, F>,
        F,
    >
    where
        B: FnOnce(&mut Option<Scope>, A) -> F + Clone + Send,
        F: Served<Args = A>,
    {
        let kept = (retries < self.retry.max).then(|| Arc::clone(&self.kept));
        let copy = self.retry.copy;
        let begin = move |scope: &mut Option<Scope>, args: A| {
            if let Some(kept) = kept {
                let mut kept = kept.lock();
                // Arguments that came from another call are copied where they are first seen.
                if kept.is_none() {
                    *kept = copy(&args);
                }
            }
            begin(scope, args)
        };
        Serving::new(acquire, self.head.clone(), begin)
    }
}

/// True if the replica that ran the call is gone, as far as the error tells.
fn died<E>(error: &CallError<E>) -> bool {
    matches!(error, CallError::Unavailable { started: true, .. } | CallError::Transport(_))
}

/// The failure of a call that began on a replica before: whatever became of its last try, the
/// call may have run.
fn it_had_run<E>(mut error: Box<CallError<E>>) -> Box<CallError<E>> {
    if let CallError::Unavailable { started, .. } = &mut *error {
        *started = true;
    }
    error
}
