//! How a call runs once it has a slot, and what stops it: its deadline, or the end of its
//! replica.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::{BoxFuture, Either};
use futures::{Stream, StreamExt};
use pin_project_lite::pin_project;
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep_until};

use super::handlers::Handlers;
use super::instance::Replica;
use super::method::{Method, Streaming, Unary};
use super::scope::Scope;
use super::slot::Slot;
use super::target::{AnyValue, Call, Reply};
use crate::call::CallError;
use crate::call::context::Request;
use crate::call::deadline::Deadline;

pin_project! {
    /// A call that waits for its slot, and then runs: what `begin` makes of the slot.
    ///
    /// One small state machine rather than an `async` block, because tokio moves a task's
    /// future several times, and most calls never wait.
    #[project = WaitThenRunProjection]
    pub(crate) enum WaitThenRun<W, B, F> {
        Waiting { #[pin] slot: W, begin: Option<B> },
        Running { #[pin] call: F },
    }
}

impl<W, B, F, T, E> Future for WaitThenRun<W, B, F>
where
    W: Future<Output = Result<Slot, CallError>>,
    B: FnOnce(Slot) -> F,
    F: Future<Output = Result<T, CallError<E>>>,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.as_mut().project() {
                WaitThenRunProjection::Running { call } => return call.poll(cx),
                WaitThenRunProjection::Waiting { slot, begin } => {
                    let slot = match ready!(slot.poll(cx)) {
                        Ok(slot) => slot,
                        Err(error) => return Poll::Ready(Err(error.widen())),
                    };
                    let begin = begin.take().expect("a slot is waited for once");
                    let call = begin(slot);
                    self.set(Self::Running { call });
                }
            }
        }
    }
}

pin_project! {
    /// A future, until a deadline. Without one it costs a look at an `Option`.
    ///
    /// These wrappers are structs rather than `async` functions because the latter would
    /// hold, and move, the method's future several times over.
    pub(crate) struct Within<F> {
        #[pin]
        future: F,
        deadline: Option<Arc<Deadline>>,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<F> Within<F> {
    pub(crate) fn new(deadline: Option<Arc<Deadline>>, future: F) -> Self {
        Self { future, deadline, timer: None }
    }
}

impl<T, E, F: Future<Output = Result<T, CallError<E>>>> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(deadline) = this.deadline.as_deref()
            && passed(deadline, this.timer, cx)
        {
            return Poll::Ready(Err(CallError::DeadlineExceeded));
        }
        this.future.poll(cx)
    }
}

/// True once the deadline has passed; else the task is woken when it does.
fn passed(deadline: &Deadline, timer: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> bool {
    loop {
        match timer {
            None => match deadline.at() {
                Some(at) => *timer = Some(Box::pin(sleep_until(at))),
                None => return false,
            },
            Some(sleep) => {
                if sleep.as_mut().poll(cx).is_pending() {
                    return false;
                }
                // Detaching may have moved the deadline since the timer was set.
                match deadline.at() {
                    Some(at) if at > sleep.deadline() => sleep.as_mut().reset(at),
                    Some(_) => return true,
                    None => {
                        *timer = None;
                        return false;
                    }
                }
            }
        }
    }
}

/// Runs a method that gives one value.
pub(crate) fn serve_one<M: Unary>(
    slot: Slot,
    request: Request,
    deadline: Option<Arc<Deadline>>,
    args: M::Args,
) -> impl Future<Output = Result<M::Ok, CallError<M::Err>>> + Send + use<M> {
    let call = match local_cell::<M>(slot.replica()) {
        Some(cell) => Either::Left(M::run(cell, args)),
        None => Either::Right(serve_foreign::<M>(Arc::clone(slot.replica()), args)),
    };
    Scope::serving(request, deadline, slot).around(call)
}

/// A call by the long path. Boxed, so that the short one stays small.
fn serve_foreign<M: Unary>(
    replica: Arc<Replica>,
    args: M::Args,
) -> BoxFuture<'static, Result<M::Ok, CallError<M::Err>>> {
    Box::pin(async move {
        match foreign::<M>(&replica, args) {
            Reply::One(reply) => typed::<M>(reply.await),
            Reply::Many(_) => unreachable!("a unary method replies with one value"),
        }
    })
}

/// Runs a method that gives many values, and sends them.
pub(crate) async fn serve_stream<M: Streaming>(
    slot: Slot,
    request: Request,
    deadline: Option<Arc<Deadline>>,
    args: M::Args,
    items: mpsc::Sender<Result<M::Ok, CallError<M::Err>>>,
) -> Result<(), CallError<M::Err>> {
    let replica = Arc::clone(slot.replica());
    let call = async {
        match local_cell::<M>(&replica) {
            Some(cell) => forward(M::run(cell, args), &items).await,
            None => match foreign::<M>(&replica, args) {
                Reply::Many(stream) => forward(stream.map(typed::<M>), &items).await,
                Reply::One(_) => unreachable!("a streaming method replies with a stream"),
            },
        }
        Ok(())
    };
    Scope::serving(request, deadline, slot).around(call).await
}

/// Sends until the stream ends or its consumer does.
async fn forward<T>(stream: impl Stream<Item = T>, items: &mpsc::Sender<T>) {
    let mut stream = pin!(stream);
    while let Some(item) = stream.next().await {
        if items.send(item).await.is_err() {
            return;
        }
    }
}

/// The instance, where calls run right on it.
fn local_cell<M: Method>(replica: &Replica) -> Option<<M::Deployment as Handlers>::Cell> {
    let cell: &<M::Deployment as Handlers>::Cell =
        replica.direct()?.downcast_ref().expect("a router holds replicas of one deployment");
    Some(cell.clone())
}

fn foreign<M: Method>(replica: &Replica, args: M::Args) -> Reply {
    replica.target.call(Call { method: M::erased(), arguments: Box::new(args) })
}

fn typed<M: Method>(
    result: Result<AnyValue, CallError<AnyValue>>,
) -> Result<M::Ok, CallError<M::Err>> {
    match result {
        Ok(value) => Ok(*value.downcast().expect("a reply holds its method's result")),
        Err(error) => {
            Err(error.map_app(|error| *error.downcast().expect("a reply holds its method's error")))
        }
    }
}

/// Runs `job` on the compute threads of the replica that the current call runs on.
///
/// The slot goes with it and is freed when `job` returns, because a job cannot be
/// interrupted.
#[doc(hidden)]
pub async fn blocking<T, E>(
    job: impl FnOnce() -> Result<T, CallError<E>> + Send + 'static,
) -> Result<T, CallError<E>>
where
    T: Send + 'static,
    E: Send + 'static,
{
    let lent = Scope::current(|scope| scope?.lend_slot());
    let (replica, scope) = lent.expect("a `#[blocking]` method runs in a slot");
    let done = replica.compute.run(move || scope.enter(job));
    done.await.unwrap_or_else(|panic| Err(CallError::Panicked(panic)))
}
