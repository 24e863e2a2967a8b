//! [`TestTarget`]: records the calls of a replica, and makes calls fail or wait as a test has set.

use std::any::{Any, TypeId};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures::future::BoxFuture;
use tokio::time::sleep;

use super::faults::{Faults, Injected};
use super::record::{CallRecord, Records};
use crate::call::ReplicaContext;
use crate::error::Error;
use crate::method::{AnyMethod, AnyReply, Hook, Reply};
use crate::replica::{Call, Scope, Target};

/// The target in front of the instance, or the mock, of each replica of a mock runtime.
pub(super) struct TestTarget {
    pub(super) target: Arc<dyn Target>,
    pub(super) deployment: TypeId,
    pub(super) replica: ReplicaContext,
    pub(super) records: Arc<Records>,
    pub(super) faults: Arc<Faults>,
}

impl Target for TestTarget {
    fn instance(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.target.instance()
    }

    fn is_direct(&self) -> bool {
        false
    }

    fn keeps_order(&self, method: &dyn AnyMethod) -> bool {
        self.target.keeps_order(method)
    }

    fn call(&self, call: Call) -> BoxFuture<'static, AnyReply> {
        let method = call.method;
        let replica = (Arc::clone(&self.replica.deployment), Arc::clone(&self.replica.id));
        let arguments = method.args_as_json(&call.arguments);
        self.records.add(self.deployment, CallRecord::new(method.info().name, replica, arguments));
        let Injected { delay, failure } = self.faults.next(self.deployment, method.info().name);
        let target = Arc::clone(&self.target);
        if !delay.is_zero() {
            let replica = Scope::current(|scope| scope?.replica().cloned());
            let has_ended = move || replica.as_ref().is_some_and(|replica| replica.has_ended());
            return Box::pin(async move {
                // A call that keeps an order is still polled after its replica has ended. A held
                // call has not begun on the replica, so it is given back. Any other call is
                // dropped.
                let mut held = pin!(sleep(delay));
                let ended = poll_fn(|cx| match has_ended() {
                    true => Poll::Ready(true),
                    false => held.as_mut().poll(cx).map(|()| false),
                });
                if ended.await {
                    return Reply::GivenBack(call.arguments);
                }
                match failure {
                    Some(failure) => Reply::Answer(Err(failure.widen())),
                    None => target.call(call).await,
                }
            });
        }
        match failure {
            Some(failure) => Box::pin(async { Reply::Answer(Err(failure.widen())) }),
            None => target.call(call),
        }
    }

    fn hook(&self, hook: Hook<'_>) -> Option<BoxFuture<'static, Result<(), Error>>> {
        self.target.hook(hook)
    }

    fn is_busy(&self) -> bool {
        self.target.is_busy()
    }
}
