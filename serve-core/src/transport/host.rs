//! The host's end of calls: serves each call in the scope that the call's frame describes.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::frame::{CallFrame, Frame};
use super::peer::{Peer, add_room};
use crate::call::deadline::Deadline;
use crate::call::expiry::Within;
use crate::call::pending::panic_message;
use crate::call::{CallError, Payload};
use crate::method::{AnyMethod, AnyReply, AnySink, PayloadWriter, Reply};
use crate::replica::{Call, InScope, Replica, Scope, Slot, Target};
use crate::time;

/// The calls that an end serves, by their numbers.
#[derive(Default)]
pub(super) struct HostedCalls(Mutex<HashMap<u64, HostedCall>>);

/// A call that an end serves.
struct HostedCall {
    deadline: Arc<Deadline>,
    /// The writer of a streaming method's items, which holds the credit of their consumer.
    writer: Option<Arc<ItemFrames>>,
    /// None until the call has its task.
    task: Option<AbortHandle>,
    detached: bool,
}

/// The replicas whose calls an end serves, by their ids.
#[derive(Default)]
pub(super) struct HostedReplicas(Mutex<HashMap<Arc<str>, HostedReplica>>);

#[derive(Clone)]
struct HostedReplica {
    methods: Arc<[&'static dyn AnyMethod]>,
    target: Arc<dyn Target>,
}

/// The slots that were granted for calls whose frames have not arrived, by grant.
///
/// The host owns the slots of its replicas. Since caller and host share a process, the caller's
/// router takes a slot and leaves it here for the frame that follows.
#[derive(Default)]
pub(super) struct Grants(Mutex<GrantTable>);

#[derive(Default)]
struct GrantTable {
    next: u64,
    slots: HashMap<u64, Slot>,
}

impl HostedCall {
    /// Stops the call's task, and the thread of a blocking method that waits for room.
    fn stop(self) {
        if let Some(task) = self.task {
            task.abort();
        }
        if let Some(writer) = self.writer {
            writer.room.close();
        }
    }
}

impl HostedCalls {
    /// True if no call is served.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

impl Grants {
    /// Keeps a slot for a call. Returns the number of the grant, by which the call's frame finds
    /// the slot.
    pub(super) fn grant(&self, slot: Slot) -> u64 {
        let mut grants = self.0.lock();
        grants.next += 1;
        let number = grants.next;
        grants.slots.insert(number, slot);
        number
    }

    /// Takes a granted slot; none if the grant was taken or has ended.
    pub(super) fn take(&self, number: u64) -> Option<Slot> {
        self.0.lock().slots.remove(&number)
    }

    /// True if no slot is granted.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().slots.is_empty()
    }
}

impl Peer {
    pub(super) fn add_replica(
        &self,
        replica: &Arc<str>,
        methods: Vec<&'static dyn AnyMethod>,
        target: Arc<dyn Target>,
    ) {
        let hosted = HostedReplica { methods: methods.into(), target };
        self.replicas.0.lock().insert(Arc::clone(replica), hosted);
    }

    pub(super) fn remove_replica(&self, replica: &str) {
        let removed = self.replicas.0.lock().remove(replica);
        // After the lock: this may drop the user's instance.
        drop(removed);
    }

    /// Handles a call: begins to serve it, gives it back, or refuses it.
    pub(super) fn on_call(self: &Arc<Self>, frame: CallFrame) {
        let call = frame.call;
        let arguments = self.borrow(frame.arguments);
        let Some(slot) = self.grants.take(frame.grant) else {
            self.send(&Frame::GivenBack { call });
            return;
        };
        let replica = Arc::clone(slot.replica());
        let hosted = self.replicas.0.lock().get(&*frame.replica).cloned();
        let hosted = hosted.filter(|_| *replica.context.id == *frame.replica);
        let Some(HostedReplica { methods, target }) = hosted else {
            drop(slot);
            self.send(&Frame::GivenBack { call });
            return;
        };
        let Some(method) =
            methods.iter().find(|method| method.info().name == frame.method).copied()
        else {
            drop(slot);
            let error = no_method(&replica, &frame.method);
            self.send(&Frame::Reply { call, result: Err(error) });
            return;
        };
        let moment =
            |left: Option<Duration>| left.and_then(|left| time::after(Instant::now(), left));
        let caller = moment(frame.inherited).map(|at| Deadline::new(Some(at), None));
        let deadline = Deadline::new(moment(frame.own), caller);
        let writer = method.info().streaming.then(|| ItemFrames::new(self, call));
        let items = writer.as_ref().map(|writer| {
            let writer: Arc<dyn PayloadWriter> = Arc::clone(writer) as _;
            method.writing_sink(writer)
        });
        let entry =
            HostedCall { deadline: Arc::clone(&deadline), writer, task: None, detached: false };
        let replaced = self.hosted.0.lock().insert(call, entry);
        // Nobody waits for a call whose number the other end uses again, and nobody could stop the
        // call, which would keep its slot.
        if let Some(replaced) = replaced {
            replaced.stop();
        }
        let scope = Scope::serving(frame.request.received(), Some(Arc::clone(&deadline)), slot);
        let served = ServedCall { method, target, arguments, items, replica, deadline };
        let run = served.run(Arc::downgrade(self), call, scope);
        let task = self.tokio.spawn(run).abort_handle();
        let mut hosted = self.hosted.0.lock();
        // The entry is gone if the call has ended, or was cancelled, on another thread by now.
        match hosted.get_mut(&call) {
            Some(entry) => entry.task = Some(task),
            None => task.abort(),
        }
    }

    /// Handles credit: the consumer of a call's stream has room for further items.
    pub(super) fn on_credit(&self, call: u64, items: usize) {
        let hosted = self.hosted.0.lock();
        if let Some(HostedCall { writer: Some(writer), .. }) = hosted.get(&call) {
            add_room(&writer.room, items);
        }
    }

    /// Handles the cancellation of a call.
    pub(super) fn on_cancel(&self, call: u64) {
        let cancelled = self.hosted.0.lock().remove(&call);
        if let Some(cancelled) = cancelled {
            cancelled.stop();
        }
    }

    /// Handles a change of the deadline that a call inherits from its caller.
    pub(super) fn on_detach(&self, call: u64, detached: bool, inherited: Option<Duration>) {
        let deadline = {
            let mut hosted = self.hosted.0.lock();
            let Some(entry) = hosted.get_mut(&call) else { return };
            entry.detached |= detached;
            Arc::clone(&entry.deadline)
        };
        // After the lock: this may send frames about calls that this call made.
        deadline.set_inherited(inherited.and_then(|left| time::after(Instant::now(), left)));
    }

    /// Ends the calls that came by the lane, because it is lost. Detached calls run on.
    pub(super) fn hosted_lost(&self) {
        let hosted = std::mem::take(&mut *self.hosted.0.lock());
        for (_, mut call) in hosted {
            if call.detached {
                call.task = None;
            }
            call.stop();
        }
        let granted = std::mem::take(&mut self.grants.0.lock().slots);
        // After the lock: freed slots go to other calls.
        drop(granted);
    }
}

/// The failure of a call of a method that this build does not have.
fn no_method<E>(replica: &Replica, method: &str) -> CallError<E> {
    CallError::Unavailable {
        deployment: replica.context.deployment.to_string(),
        started: false,
        reason: format!("the build that hosts it has no method `{method}`"),
    }
}

/// A call that arrived and is to be served.
struct ServedCall {
    method: &'static dyn AnyMethod,
    target: Arc<dyn Target>,
    arguments: Payload,
    items: Option<AnySink>,
    replica: Arc<Replica>,
    deadline: Arc<Deadline>,
}

impl ServedCall {
    /// Returns the future that runs the call and sends its answer.
    ///
    /// A call that has to begin in order begins before this function returns. Any other call
    /// begins when its task first runs.
    fn run(
        self,
        peer: Weak<Peer>,
        call: u64,
        scope: Scope,
    ) -> impl Future<Output = ()> + Send + 'static {
        let Self { method, target, arguments, items, replica, deadline } = self;
        let in_order = target.keeps_order(method);
        let has_attachments = !arguments.attachments.is_empty();
        let (request, until) = (scope.request().clone(), Arc::clone(&deadline));
        let directory = Arc::clone(&replica.context.directory);
        let begin = move || -> Result<BoxFuture<'static, AnyReply>, CallError> {
            let decoded = method.decode_args(&arguments, &directory);
            drop(arguments);
            let call = Call {
                method,
                arguments: decoded?,
                items,
                request,
                deadline: Some(until),
                slot: None,
            };
            Ok(target.call(call))
        };
        let mut scope = Some(scope);
        let (begun, begin) = if in_order {
            let begun = Scope::enter_for_now(&mut scope, || catch_unwind(AssertUnwindSafe(begin)));
            (Some(begun), None)
        } else {
            (None, Some(begin))
        };
        let scope = scope.expect("a scope is back once it is not current any more");
        async move {
            // A replica that ended before the call began gives it back.
            if replica.has_ended() && begun.is_none() {
                drop((scope, begin));
                answer(&peer, call, method, Ok(Reply::GivenBack(Box::new(()))));
                return;
            }
            // A call that has begun in order may still be given back by its batch.
            if has_attachments
                && begun.is_none()
                && let Some(peer) = peer.upgrade()
            {
                peer.send(&Frame::Begun { call });
            }
            let run = async move {
                let begun = match (begun, begin) {
                    (Some(Ok(begun)), _) => begun,
                    (Some(Err(panic)), _) => resume_unwind(panic),
                    (None, Some(begin)) => begin(),
                    (None, None) => unreachable!("a call begins here or has begun"),
                };
                match begun {
                    Ok(reply) => reply.await,
                    Err(codec) => Reply::Answer(Err(codec.widen())),
                }
            };
            let served = Within::new(Some(deadline), InScope::call(scope, run, in_order));
            // Frees the slot before the answer is sent, so that a caller that has its result
            // finds the slot free.
            // `map` drops the call's future when the future is ready, under the guard of
            // `catch_unwind`, because the values that the future holds may panic when they are
            // dropped.
            let served =
                served.map(|ended| ended.unwrap_or_else(|late| Reply::Answer(Err(late.widen()))));
            let ended = AssertUnwindSafe(served).catch_unwind().await;
            answer(&peer, call, method, ended);
        }
    }
}

/// Sends the caller the answer to a call that ended.
fn answer(
    peer: &Weak<Peer>,
    call: u64,
    method: &dyn AnyMethod,
    ended: std::thread::Result<AnyReply>,
) {
    let Some(peer) = peer.upgrade() else { return };
    let result = match ended {
        Ok(Reply::GivenBack(args)) => {
            // The user's values may panic when they are dropped.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(args)));
            peer.hosted.0.lock().remove(&call);
            peer.send(&Frame::GivenBack { call });
            return;
        }
        Ok(Reply::Answer(result)) => {
            // The user's `Serialize` may panic.
            catch_unwind(AssertUnwindSafe(|| method.encode_result(result)))
                .unwrap_or_else(|panic| Err(CallError::Panicked(panic_message(&*panic))))
        }
        Err(panic) => Err(CallError::Panicked(panic_message(&*panic))),
    };
    let result = peer.lend_result(result);
    peer.hosted.0.lock().remove(&call);
    peer.send(&Frame::Reply { call, result });
}

/// Sends the items of a call's stream, as far as its consumer has room.
struct ItemFrames {
    peer: Weak<Peer>,
    call: u64,
    room: Semaphore,
}

impl ItemFrames {
    fn new(peer: &Arc<Peer>, call: u64) -> Arc<Self> {
        Arc::new(Self { peer: Arc::downgrade(peer), call, room: Semaphore::new(0) })
    }
}

impl PayloadWriter for ItemFrames {
    fn room(&self) -> &Semaphore {
        &self.room
    }

    fn write(&self, item: Result<Payload, CallError<Payload>>) {
        if let Some(peer) = self.peer.upgrade() {
            let item = peer.lend_result(item);
            peer.send(&Frame::Item { call: self.call, item });
        }
    }
}
