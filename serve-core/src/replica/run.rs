//! How a call runs once it has a slot, and what stops it: its deadline, or the end of its
//! replica.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::StreamExt;
use futures::future::{BoxFuture, Either};
use pin_project_lite::pin_project;
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep_until};

use super::compute::on_own_thread;
use super::handlers::{Handlers, InstanceCell};
use super::instance::Replica;
use super::items::Items;
use super::method::{Method, Streaming, Unary};
use super::scope::{Entered, Scope};
use super::slot::Slot;
use super::target::{AnyValue, Call, Reply};
use super::unbegun;
use crate::call::CallError;
use crate::call::context::Request;
use crate::call::deadline::Deadline;
use crate::call::pending::Outcome;
use crate::error::Error;

pin_project! {
    /// A call of a deployment: waits for its slot, makes the method's future and runs it
    /// in its scope, until its deadline passes or its replica ends.
    ///
    /// One state machine instead of a wrapper for each of these, because tokio moves a
    /// task's future several times: each thing is held once, and the larger half of it is
    /// the user's own future.
    pub(crate) struct Serving<W, B, F> {
        #[pin]
        step: Step<W, F>,
        // Again for each replica that ends before the method begins.
        begin: B,
        timer: Option<Pin<Box<Sleep>>>,
        // Last, because the slot in it is freed last.
        scope: Option<Scope>,
    }

    impl<W, B, F> PinnedDrop for Serving<W, B, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let StepProjection::Running { .. } = this.step.as_mut().project() {
                let _entered = Entered::new(this.scope);
                this.step.set(Step::Done);
            }
        }
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<W, F> {
        Waiting { #[pin] way: W },
        Running { #[pin] method: F },
        Done,
    }
}

impl<W, B, F> Serving<W, B, F> {
    /// A call that gets its slot, and its arguments, from `way`.
    ///
    /// The method's future is made when the task first runs, so that until then the call
    /// can go to another replica.
    pub(crate) fn new(way: W, request: Request, deadline: Option<Arc<Deadline>>, begin: B) -> Self {
        let step = Step::Waiting { way };
        Self { step, begin, timer: None, scope: Some(Scope::outside(request, deadline)) }
    }
}

/// What a call gets its slot and its arguments from.
pub(crate) trait Turn:
    Future<Output = Result<(Slot, Self::Args), CallError>> + Unpin + Sized
{
    /// The call's arguments.
    type Args: 'static;
    /// The way to another replica, for a call that had not begun when this one ended.
    fn again(ended: &Replica, args: Self::Args) -> Result<Self, CallError>;
    /// The slot, if it is at hand and its replica has not ended. What most calls take: apart
    /// from the future, whose result passes through memory.
    fn take_here(&mut self) -> Option<(Slot, Self::Args)>;
    /// The replica of the slot ended before the call began: looks for another.
    fn turn(&mut self, slot: Slot, args: Self::Args) -> Result<(), CallError> {
        let ended = Arc::clone(slot.replica());
        drop(slot);
        *self = Self::again(&ended, args)?;
        Ok(())
    }
}

/// Waits for the slot of a replica that has not ended.
#[inline(never)]
fn settle<W: Turn>(
    mut way: Pin<&mut W>,
    cx: &mut Context<'_>,
) -> Poll<Result<(Slot, W::Args), CallError>> {
    loop {
        let (slot, args) = ready!(way.as_mut().poll(cx))?;
        if !slot.replica().has_ended() {
            return Poll::Ready(Ok((slot, args)));
        }
        way.turn(slot, args)?;
    }
}

impl<W, B, F, T, E> Future for Serving<W, B, F>
where
    W: Turn,
    B: FnOnce(&Arc<Replica>, W::Args) -> F + Clone,
    F: Future<Output = Result<T, CallError<E>>>,
{
    type Output = Outcome<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.as_mut().project();
        let scope = this.scope.as_mut().expect("a scope is away only while it is current");
        if let Some(deadline) = scope.deadline()
            && passed(deadline, this.timer, cx)
        {
            return Poll::Ready(Err(Box::new(CallError::DeadlineExceeded)));
        }
        if let StepProjection::Waiting { mut way } = this.step.as_mut().project() {
            let (slot, args) = match way.take_here() {
                Some(got) => got,
                None => match ready!(settle(way, cx)) {
                    Ok(got) => got,
                    Err(error) => return Poll::Ready(Err(Box::new(error.widen()))),
                },
            };
            let method = this.begin.clone()(slot.replica(), args);
            scope.take_slot(slot);
            this.step.set(Step::Running { method });
        } else if let Some(replica) = scope.replica()
            && replica.has_ended()
        {
            let replica = Arc::clone(replica);
            if let Err(error) = self.as_mut().leave(&replica) {
                return Poll::Ready(Err(error));
            }
            // Not polled from here: a future that polls itself is not inlined where it runs.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let entered = Entered::polling(this.scope);
        let StepProjection::Running { method } = this.step.as_mut().project() else {
            unreachable!("a task is not polled after it was ready");
        };
        let polled = method.poll(cx);
        if polled.is_ready() {
            // While its scope is current, as when it is dropped halfway.
            this.step.set(Step::Done);
        }
        drop(entered);
        match (&polled, this.scope) {
            // Most short calls are ready here, and never register.
            (Poll::Pending, Some(scope)) => scope.wake_at_end(cx.waker()),
            // An error of the method's own is an answer too.
            (Poll::Ready(Ok(_) | Err(CallError::App(_))), Some(scope)) => scope.succeeded(),
            _ => {}
        }
        polled.map_err(Box::new)
    }
}

impl<W: Turn, B, F> Serving<W, B, F> {
    /// The replica ended under the call. If its method had not begun, it goes to another.
    #[cold]
    #[inline(never)]
    fn leave<E>(self: Pin<&mut Self>, ended: &Replica) -> Result<(), Box<CallError<E>>> {
        let mut this = self.project();
        let args = unbegun::collect(|| {
            let _entered = Entered::new(this.scope);
            this.step.set(Step::Done);
        });
        let args: W::Args = args.ok_or_else(|| Box::new(ended.ended_error()))?;
        if let Some(scope) = this.scope {
            scope.leave();
        }
        let way = W::again(ended, args).map_err(|error| Box::new(error.widen()))?;
        this.step.set(Step::Waiting { way });
        Ok(())
    }
}

pin_project! {
    /// What is not a call of a deployment's method, until a deadline. Without one it costs
    /// a look at an `Option`.
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
    type Output = Outcome<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(deadline) = this.deadline.as_deref()
            && passed(deadline, this.timer, cx)
        {
            return Poll::Ready(Err(Box::new(CallError::DeadlineExceeded)));
        }
        this.future.poll(cx).map_err(Box::new)
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
    replica: &Arc<Replica>,
    args: M::Args,
) -> impl Future<Output = Result<M::Ok, CallError<M::Err>>> + Send + use<M> {
    match local_cell::<M>(replica) {
        Some(cell) => Either::Left(M::run(cell, args)),
        None => Either::Right(serve_foreign::<M>(Arc::clone(replica), args)),
    }
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
pub(crate) fn serve_stream<M: Streaming>(
    replica: &Arc<Replica>,
    args: M::Args,
    items: mpsc::Sender<Outcome<M::Ok, M::Err>>,
) -> impl Future<Output = Result<(), CallError<M::Err>>> + Send + use<M> {
    let (replica, items) = (Arc::clone(replica), Items::<M>::new(items));
    async move {
        match local_cell::<M>(&replica) {
            Some(cell) => M::send(cell, args, &items).await,
            None => match foreign::<M>(&replica, args) {
                Reply::Many(stream) => items.forward(stream.map(typed::<M>)).await,
                Reply::One(_) => unreachable!("a streaming method replies with a stream"),
            },
        }
    }
}

/// The instance, where calls run right on it.
fn local_cell<M: Method>(replica: &Replica) -> Option<<M::Deployment as Handlers>::Cell> {
    let cell = <M::Deployment as Handlers>::Cell::of(replica.direct()?);
    Some(cell.expect("a router holds replicas of one deployment"))
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

/// Runs a `#[blocking]` constructor on a thread of its own: the replica, whose compute
/// threads it would take, is not there yet. Nobody waits for it if its start is given up;
/// what it makes is dropped then, where it was made.
///
/// # Errors
/// The constructor's own, or that there is no thread. Its panic goes on here.
#[doc(hidden)]
pub async fn blocking_constructor<D: Send + 'static>(
    construct: impl FnOnce() -> Result<D, Error> + Send + 'static,
) -> Result<D, Error> {
    let (scope, spawner, id) =
        Scope::for_constructor().expect("a constructor runs in the scope of its replica");
    let run = move || scope.enter(construct);
    match on_own_thread(&spawner, &id, run).await {
        Ok(Ok(made)) => made,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(error) => Err(Error::from(error).context("no thread for its constructor")),
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
    let (replica, scope) = Scope::lend_slot().expect("a `#[blocking]` method runs in a slot");
    let done = replica.compute.run(move || scope.enter(job));
    done.await.unwrap_or_else(|panic| {
        replica.panicked();
        Err(CallError::Panicked(panic))
    })
}
