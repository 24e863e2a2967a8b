//! [`TestTarget`]: records calls on their way to what serves them, and sends them over an
//! imagined wire.

use std::any::{Any, TypeId};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use tokio::time::sleep;

use super::faults::{Faults, Wrong};
use super::record::{CallRecord, Records};
use crate::call::{CallError, Payload, ReplicaContext};
use crate::error::Error;
use crate::replica::{AnyMethod, AnyValue, Call, Hook, Reply, Target};

/// Stands before every target of a mock runtime.
pub(super) struct TestTarget {
    pub(super) target: Arc<dyn Target>,
    pub(super) deployment: TypeId,
    pub(super) replica: ReplicaContext,
    pub(super) records: Arc<Records>,
    pub(super) faults: Arc<Faults>,
    /// Whether calls are encoded and decoded.
    pub(super) wire: bool,
}

impl TestTarget {
    /// The call as the other end of a wire gets it.
    fn cross(&self, call: Call) -> Result<Call, CallError> {
        let sent = call.method.encode_args(&call.arguments)?;
        drop(call.arguments);
        let arguments = call.method.decode_args(&sent, &self.replica.directory)?;
        Ok(Call { method: call.method, arguments })
    }
}

impl Target for TestTarget {
    fn instance(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.target.instance()
    }

    fn is_direct(&self) -> bool {
        false
    }

    fn call(&self, call: Call) -> Reply {
        let method = call.method;
        let record = CallRecord {
            method: method.info().name,
            deployment: Arc::clone(&self.replica.deployment),
            replica_id: Arc::clone(&self.replica.id),
            arguments: method.show_args(&call.arguments),
        };
        self.records.add(self.deployment, record);
        let Wrong { delay, failure } = self.faults.next(self.deployment, method.info().name);
        let reply = match failure {
            Some(failure) => failed(method, failure),
            None => self.serve(call),
        };
        if delay.is_zero() { reply } else { late(reply, delay) }
    }

    fn hook(&self, hook: Hook<'_>) -> Option<BoxFuture<'static, Result<(), Error>>> {
        self.target.hook(hook)
    }

    fn is_busy(&self) -> bool {
        self.target.is_busy()
    }
}

impl TestTarget {
    fn serve(&self, call: Call) -> Reply {
        let method = call.method;
        if !self.wire {
            return self.target.call(call);
        }
        let call = match self.cross(call) {
            Ok(call) => call,
            Err(error) => return failed(method, error),
        };
        let replica = self.replica.clone();
        match self.target.call(call) {
            Reply::One(one) => Reply::One(one.map(move |one| back(method, &replica, one)).boxed()),
            Reply::Many(many) => {
                Reply::Many(many.map(move |item| back(method, &replica, item)).boxed())
            }
        }
    }
}

/// A call that fails.
fn failed(method: &dyn AnyMethod, error: CallError) -> Reply {
    if method.info().streaming {
        Reply::Many(stream::once(async { Err(error.widen()) }).boxed())
    } else {
        Reply::One(async { Err(error.widen()) }.boxed())
    }
}

/// The same reply after a pause.
fn late(reply: Reply, delay: Duration) -> Reply {
    match reply {
        Reply::One(one) => Reply::One(
            async move {
                sleep(delay).await;
                one.await
            }
            .boxed(),
        ),
        Reply::Many(many) => Reply::Many(
            stream::once(sleep(delay)).flat_map(|()| stream::empty()).chain(many).boxed(),
        ),
    }
}

/// A result as the caller's end of the wire gets it.
fn back(
    method: &dyn AnyMethod,
    replica: &ReplicaContext,
    result: Result<AnyValue, CallError<AnyValue>>,
) -> Result<AnyValue, CallError<AnyValue>> {
    let crossed = match result {
        Ok(value) => {
            let sent = method.encode_ok(&value).map_err(CallError::widen)?;
            return method.decode_ok(&sent, &replica.directory).map_err(CallError::widen);
        }
        Err(CallError::App(error)) => {
            method.encode_err(&error).and_then(|sent| method.decode_err(&sent))
        }
        Err(other) => return Err(cross_failure(&other.map_app(drop))),
    };
    match crossed {
        Ok(error) => Err(CallError::App(error)),
        Err(codec) => Err(codec.widen()),
    }
}

/// A failure that is not the method's own crosses as it would on a wire.
fn cross_failure(error: &CallError<()>) -> CallError<AnyValue> {
    let crossed = Payload::of::<crate::deployment::Anywhere, _>(error)
        .and_then(|sent| sent.read::<crate::deployment::Anywhere, CallError<()>>(None));
    match crossed {
        Ok(error) => error.map_app(|()| Box::new(()) as AnyValue),
        Err(codec) => codec.widen(),
    }
}
