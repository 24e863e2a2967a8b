//! [`Timed`]: a call whose first poll is timed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::replica::{FirstPoll, SlotOwner as _};
use crate::router::Router;

/// The future of a call that reports its first poll to the call's router, which judges by such
/// polls whether the method is polled in place.
pub(super) struct Timed<O> {
    call: BoxFuture<'static, O>,
    /// The router and the method's index, until the call was polled.
    judge: Option<(Arc<Router>, usize)>,
}

impl<O> Timed<O> {
    pub(super) fn new(router: Arc<Router>, method: usize, call: BoxFuture<'static, O>) -> Self {
        Self { call, judge: Some((router, method)) }
    }
}

impl<O> Future for Timed<O> {
    type Output = O;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O> {
        let Some((router, method)) = self.judge.take() else {
            return self.call.as_mut().poll(cx);
        };
        let began = Instant::now();
        let polled = self.call.as_mut().poll(cx);
        let took = Some(began.elapsed());
        router.judge(method, FirstPoll { in_place: false, ready: polled.is_ready(), took });
        polled
    }
}
