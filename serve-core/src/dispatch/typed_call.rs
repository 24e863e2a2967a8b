//! [`call`] and [`stream`], which every generated stub calls; and [`MethodFuture`], a running
//! method with its types.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::runtime::Handle as Tokio;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::acquire::Acquire;
use super::handle::Handle;
use super::retry::{self, Retry};
use super::served::{Served, TargetFuture};
use super::serving::Serving;
use super::start::{Head, Split, seat, start};
use super::timed::Timed;
use crate::call::callee::Callee as _;
use crate::call::in_place;
use crate::call::pending::Outcome;
use crate::call::stream::STREAM_CAPACITY;
use crate::call::{ArgTuple, Response, ResponseStream};
use crate::method::{
    AnyReply, Handlers, InstanceCell, IntoReply, Method, Reply, StreamSink, Streaming, Unary,
};
use crate::replica::{Entered, Scope};
use crate::router::{Called, Router, wanted};

/// The types of a call, and whether its method is marked `#[batch]`.
pub(super) trait Types {
    type Ok: 'static;
    type Err: 'static;
    type Args: 'static;
    const BATCHED: bool;
    /// The index and the name of a method that may be polled in place.
    const IN_PLACE: Option<(usize, &'static str)>;
}

pin_project! {
    /// A running method, with its types.
    #[project = MethodProjection]
    pub(super) enum MethodFuture<T, F> {
        /// The method runs right on the instance, and nothing is boxed.
        Direct { #[pin] future: F },
        /// The replica's target runs the method: a mock, or another process.
        Targeted { reply: TargetFuture, types: PhantomData<T> },
    }
}

impl<T: Types, F> MethodFuture<T, F> {
    fn targeted(reply: TargetFuture) -> Self {
        Self::Targeted { reply, types: PhantomData }
    }
}

impl<T, F> Future for MethodFuture<T, F>
where
    T: Types,
    F: Future<Output: IntoReply<T::Ok, T::Err, T::Args>>,
{
    type Output = Reply<T::Ok, T::Err, T::Args>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            MethodProjection::Direct { future } => future.poll(cx).map(IntoReply::into_reply),
            MethodProjection::Targeted { reply, .. } => {
                Pin::new(reply).poll(cx).map(AnyReply::typed)
            }
        }
    }
}

impl<T, F> Served for MethodFuture<T, F>
where
    T: Types,
    F: Future<Output: IntoReply<T::Ok, T::Err, T::Args>>,
{
    type Ok = T::Ok;
    type Err = T::Err;
    type Args = T::Args;
    const JUDGED: Option<(usize, &'static str)> = T::IN_PLACE;

    fn sees_end(&self) -> bool {
        match self {
            Self::Direct { .. } => T::BATCHED,
            Self::Targeted { reply, .. } => reply.sees_end(),
        }
    }
}

/// The types of a call of the unary method `M`.
pub(super) struct OneOf<M>(PhantomData<M>);

/// The types of a call of the streaming method `M`, whose items do not pass through its reply.
pub(super) struct ManyOf<M>(PhantomData<M>);

impl<M: Unary> Types for OneOf<M> {
    type Ok = M::Ok;
    type Err = M::Err;
    type Args = M::Args;
    const BATCHED: bool = M::BATCHED;
    // Batches and retries need their tasks.
    const IN_PLACE: Option<(usize, &'static str)> =
        if M::BATCHED || M::RETRIES > 0 { None } else { Some((M::INDEX, M::INFO.name)) };
}

impl<M: Streaming> Types for ManyOf<M> {
    type Ok = ();
    type Err = M::Err;
    type Args = M::Args;
    const BATCHED: bool = M::BATCHED;
    const IN_PLACE: Option<(usize, &'static str)> = None;
}

/// Starts a call of a method that returns one value.
///
/// The call's place is decided before this function returns. If arguments come from other
/// calls, the place is decided when the last of them has arrived.
#[doc(hidden)]
pub fn call<M: Unary>(
    handle: &Handle<M::Deployment>,
    args: impl ArgTuple<Values = M::Args>,
) -> Response<M::Ok, M::Err> {
    let args = args.split();
    if M::RETRIES > 0 {
        let (method, max, in_order) = (M::INFO.name, M::RETRIES, M::BATCHED);
        let retry = Retry { method, index: M::INDEX, max, in_order, copy: M::copy_args };
        let (router, head) = (handle.router(), handle.head());
        return retry::call(router, retry, head, args, wanted::<M>, begin_one::<M>);
    }
    if in_place::in_a_poll() && OneOf::<M>::IN_PLACE.is_some() {
        return call_in_a_poll::<M>(handle, args);
    }
    spawn_one::<M>(handle, args)
}

/// Starts a call that has a task from the beginning.
#[inline]
fn spawn_one<M: Unary>(
    handle: &Handle<M::Deployment>,
    args: Split<M::Args>,
) -> Response<M::Ok, M::Err> {
    let (router, head, called) = (handle.router(), handle.head(), Called::spawned(M::INDEX));
    let (pending, task) =
        start(router, M::INFO.name, called, head, args, wanted::<M>, |acquire, head, _| {
            if OneOf::<M>::IN_PLACE.is_some() && router.times(M::INDEX) {
                return spawn_timed::<M>(router, acquire, head);
            }
            spawn(router, M::BATCHED, acquire, head, begin_one::<M>)
        });
    Response::started(pending, task)
}

/// Makes a task of a call whose first poll is timed. Boxed, so that no second kind of task is
/// compiled for each method.
#[cold]
#[inline(never)]
fn spawn_timed<M: Unary>(
    router: &Arc<Router>,
    acquire: Acquire<Router, M::Args>,
    head: Head,
) -> JoinHandle<Outcome<M::Ok, M::Err>> {
    // The first poll of a call in the queue says nothing of its method.
    if acquire.seat().is_none() || router.is_remote() {
        return spawn(router, M::BATCHED, acquire, head, begin_one::<M>);
    }
    let serving = Serving::new(acquire, head, begin_one::<M>);
    in_place::call_spawned();
    let timed = Timed::new(Arc::clone(router), M::INDEX, Box::pin(serving));
    router.runtime().tokio.spawn(timed)
}

/// Starts a call that code of a runtime makes while it is polled. The call stands until its
/// response is polled, if it alone stands then and its method has earned that.
///
/// A function apart from the path of other calls, which it would make longer.
#[inline(never)]
fn call_in_a_poll<M: Unary>(
    handle: &Handle<M::Deployment>,
    args: Split<M::Args>,
) -> Response<M::Ok, M::Err> {
    in_place::another_call();
    let router = handle.router();
    let args = match args {
        Ok(args) if may_defer::<M>(router) => args,
        args => return spawn_one::<M>(handle, args),
    };
    let (mut head, called) = (handle.head(), Called::new(M::INDEX, true));
    match seat(router, M::INFO.name, called, &mut head, args, wanted::<M>) {
        Ok((seat, args)) => {
            let serving = Serving::new(Acquire::ready(seat, args), head, begin_one::<M>);
            let (swept, light) = (router.runtime().sweeps, router.is_light(M::INDEX));
            Response::deferred(in_place::defer(Box::pin(serving), swept, light))
        }
        Err(elsewhere) => {
            let (pending, task) =
                elsewhere.start(router, M::INFO.name, head, |acquire, head, _| {
                    spawn(router, M::BATCHED, acquire, head, begin_one::<M>)
                });
            Response::started(pending, task)
        }
    }
}

/// True if a call which the running code makes now may stand until its response is polled.
#[inline]
fn may_defer<M: Unary>(router: &Router) -> bool {
    in_place::may_defer()
        && router.polls_in_place(M::INDEX)
        && Scope::is_spawned_by(router.runtime())
}

/// Starts a call of a method that returns a stream. The call's place is decided as in [`call`].
#[doc(hidden)]
pub fn stream<M: Streaming>(
    handle: &Handle<M::Deployment>,
    args: impl ArgTuple<Values = M::Args>,
) -> ResponseStream<M::Ok, M::Err> {
    let (sender, items) = mpsc::channel(STREAM_CAPACITY);
    let (router, head, args) = (handle.router(), handle.head(), args.split());
    let called = Called::spawned(M::INDEX);
    let (pending, task) =
        start(router, M::INFO.name, called, head, args, wanted::<M>, |acquire, head, _| {
            let sink = StreamSink::channel(sender).yielding(yields(router, &head));
            let begin = |scope: &mut _, args| begin_many::<M>(scope, args, sink);
            spawn(router, M::BATCHED, acquire, head, begin)
        });
    ResponseStream::started(pending, items, task)
}

/// True if the producer of a stream yields after each item, so that its consumer hears of a deadline.
pub(super) fn yields(router: &Router, head: &Head) -> bool {
    head.deadline.is_some() && router.runtime().sweeps
}

/// Makes a task of a call. A call that is `in_order`, or that may go to another process,
/// begins before its task runs: see [`Serving::begin_now`].
#[inline]
pub(super) fn spawn<A, B, F>(
    router: &Router,
    in_order: bool,
    acquire: Acquire<Router, A>,
    head: Head,
    begin: B,
) -> JoinHandle<Outcome<F::Ok, F::Err>>
where
    A: Send + 'static,
    B: FnOnce(&mut Option<Scope>, A) -> F + Clone + Send + 'static,
    F: Served<Args = A, Ok: Send, Err: Send> + Send + 'static,
{
    let tokio = &router.runtime().tokio;
    in_place::call_spawned();
    let serving = Serving::new(acquire, head, begin);
    if in_order {
        return tokio.spawn(serving.begin_now());
    }
    if router.is_remote() {
        return spawn_begun(tokio, serving);
    }
    tokio.spawn(serving)
}

/// Spawns a call that begins before its task runs. A function apart from the path of local calls,
/// which it would make longer.
#[cold]
#[inline(never)]
fn spawn_begun<A, B, F>(
    tokio: &Tokio,
    serving: Serving<Router, A, B, F>,
) -> JoinHandle<Outcome<F::Ok, F::Err>>
where
    A: Send + 'static,
    B: FnOnce(&mut Option<Scope>, A) -> F + Clone + Send + 'static,
    F: Served<Args = A, Ok: Send, Err: Send> + Send + 'static,
{
    tokio.spawn(serving.begin_now())
}

/// Makes the future of a unary method, on the replica of the scope's slot.
#[inline]
fn begin_one<M: Unary>(
    scope: &mut Option<Scope>,
    args: M::Args,
) -> MethodFuture<
    OneOf<M>,
    impl Future<Output = impl IntoReply<M::Ok, M::Err, M::Args> + use<M>> + Send + use<M>,
> {
    match direct_cell::<M>(scope.as_ref()) {
        Some(cell) => {
            // A batched call joins its batch in `run`, before it is polled, and reads the
            // request and the replica from the current scope.
            let _entered = M::BATCHED.then(|| Entered::new(scope));
            MethodFuture::Direct { future: M::run(cell, args) }
        }
        None => {
            let reply = TargetFuture::new(scope, M::erased(), Box::new(args), None);
            MethodFuture::targeted(reply)
        }
    }
}

/// Makes the future of a streaming method, which sends what the method returns to `items`.
fn begin_many<M: Streaming>(
    scope: &mut Option<Scope>,
    args: M::Args,
    items: StreamSink<M::Ok, M::Err>,
) -> MethodFuture<
    ManyOf<M>,
    impl Future<Output = impl IntoReply<(), M::Err, M::Args> + use<M>> + Send + use<M>,
> {
    match direct_cell::<M>(scope.as_ref()) {
        Some(cell) => {
            let _entered = M::BATCHED.then(|| Entered::new(scope));
            MethodFuture::Direct { future: M::run(cell, args, items) }
        }
        None => {
            let items = Some(Box::new(items) as _);
            MethodFuture::targeted(TargetFuture::new(scope, M::erased(), Box::new(args), items))
        }
    }
}

/// Returns the cell of the instance, if calls of the scope's replica run right on the instance.
#[inline]
fn direct_cell<M: Method>(scope: Option<&Scope>) -> Option<<M::Deployment as Handlers>::Cell> {
    let replica = scope?.replica().expect("a call that begins has a slot");
    let cell = <M::Deployment as Handlers>::Cell::of(replica.direct()?);
    Some(cell.expect("a router holds replicas of one deployment"))
}

/// Returns the size in bytes of the future that a call of `M` spawns, and the size of the method's
/// own future. Used by the bench that holds the difference down: tokio moves a task's future about
/// seven times.
#[doc(hidden)]
#[must_use]
pub fn future_sizes<M: Unary>() -> (usize, usize) {
    fn spawned<A, B, F>(_: B) -> usize
    where
        B: FnOnce(&mut Option<Scope>, A) -> F,
    {
        size_of::<Serving<Router, A, B, F>>()
    }
    fn returned<A, B, F>(_: impl FnOnce(A, B) -> F) -> usize {
        size_of::<F>()
    }
    (spawned(begin_one::<M>), returned(M::run))
}
