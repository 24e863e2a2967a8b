//! [`Served`]: the future that a call runs once it has its seat; and [`TargetFuture`], the future
//! of a call that a [`Target`](crate::replica::Target) serves.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use pin_project_lite::pin_project;

use crate::call::CallError;
use crate::method::{AnyMethod, AnyReply, AnySink, AnyValue, Reply};
use crate::replica::{Call, Entered, Scope};

/// The future that a call runs once it has its seat.
pub(crate) trait Served: Future<Output = Reply<Self::Ok, Self::Err, Self::Args>> {
    type Ok;
    type Err;
    type Args;
    /// The index and the name of the call's method, if the method may be polled in place and is
    /// judged by its first polls.
    const JUDGED: Option<(usize, &'static str)> = None;
    /// True if the future is still polled after its replica ended, because its own output says
    /// what becomes of the call. Any other future is dropped when its replica ends.
    fn sees_end(&self) -> bool;
}

/// The reply of a target to one call, without the call's types.
pub(crate) struct TargetFuture {
    reply: BoxFuture<'static, AnyReply>,
    sees_end: bool,
}

impl TargetFuture {
    /// Passes a call to the target of the replica on which the scope has a slot.
    pub(super) fn new(
        scope: &mut Option<Scope>,
        method: &'static dyn AnyMethod,
        arguments: AnyValue,
        items: Option<AnySink>,
    ) -> Self {
        let current = scope.as_mut().expect("a scope is away only while it is current");
        let replica = current.replica().expect("a call that begins has a slot");
        let target = Arc::clone(&replica.target);
        let (request, deadline) = (current.request().clone(), current.deadline().cloned());
        // The host of a remote replica frees the slot. The scope is then on no replica, so it
        // does not end with the replica, and the host's answer says what becomes of the call.
        let slot = if target.is_remote() { current.send_slot() } else { None };
        let sees_end = slot.is_none() && target.keeps_order(method);
        let _entered = Entered::new(scope);
        let reply = target.call(Call { method, arguments, items, request, deadline, slot });
        Self { reply, sees_end }
    }
}

impl Future for TargetFuture {
    type Output = AnyReply;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<AnyReply> {
        self.reply.as_mut().poll(cx)
    }
}

impl Served for TargetFuture {
    type Ok = AnyValue;
    type Err = AnyValue;
    type Args = AnyValue;

    fn sees_end(&self) -> bool {
        self.sees_end
    }
}

pin_project! {
    /// The future of a call that is never given back, because it cannot go to another replica
    /// once it has begun: a task, or a routed request.
    pub(crate) struct Plain<F, A> {
        #[pin]
        future: F,
        args: PhantomData<fn() -> A>,
    }
}

impl<F, A> Plain<F, A> {
    pub(crate) fn new(future: F) -> Self {
        Self { future, args: PhantomData }
    }
}

impl<F, A, T, E> Future for Plain<F, A>
where
    F: Future<Output = Result<T, CallError<E>>>,
{
    type Output = Reply<T, E, A>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx).map(Reply::Answer)
    }
}

impl<F, A, T, E> Served for Plain<F, A>
where
    F: Future<Output = Result<T, CallError<E>>>,
{
    type Ok = T;
    type Err = E;
    type Args = A;

    fn sees_end(&self) -> bool {
        false
    }
}
