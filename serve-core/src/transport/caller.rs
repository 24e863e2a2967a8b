//! The caller's end of calls: [`RemoteTarget`] sends calls and waits for their answers.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::frame::{CallFrame, Frame, SentResult};
use super::peer::Peer;
use crate::call::deadline::{Deadline, DeadlineWatcher};
use crate::call::{CallError, Directory, Payload};
use crate::error::Error;
use crate::method::{AnyMethod, AnyReply, Hook, Reply};
use crate::replica::{Call, Replica, Scope, Target};

/// The calls that an end made and that are not answered, by their numbers.
#[derive(Default)]
pub(super) struct OpenCalls(Mutex<HashMap<u64, OpenAnswer>>);

/// The caller's side of a call that is not answered.
struct OpenAnswer {
    answer: oneshot::Sender<Answer>,
    /// The sender for the items of a stream. The channel is unbounded, but holds no more items
    /// than were granted, and thus than the consumer has room for.
    items: Option<mpsc::UnboundedSender<Result<Payload, CallError<Payload>>>>,
    arguments: Kept,
}

/// The encoded arguments of a call, kept until the call has begun or its first answer is there,
/// because the call may be given back.
type Kept = Arc<Mutex<Option<Payload>>>;

/// The end of a call: an answer of the host, or its absence.
enum Answer {
    Result(Result<Payload, CallError<Payload>>),
    GivenBack,
    /// The caller cancelled the call. Its task is aborted next, and may be polled before that.
    Cancelled,
    Lost,
}

impl OpenCalls {
    /// True if no call is open.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

impl Peer {
    pub(super) fn on_reply(self: &Arc<Self>, call: u64, result: SentResult) {
        // Borrowed even if nobody waits, so that the attachments are returned.
        let result = self.borrow_result(result);
        let waiting = self.open.0.lock().remove(&call);
        if let Some(waiting) = waiting {
            let _ = waiting.answer.send(Answer::Result(result));
        }
    }

    pub(super) fn on_given_back(&self, call: u64) {
        let waiting = self.open.0.lock().remove(&call);
        if let Some(waiting) = waiting {
            let _ = waiting.answer.send(Answer::GivenBack);
        }
    }

    /// Handles the beginning of a call, whose arguments are not needed any more. The objects and
    /// streams in the arguments belong to the callee alone from now on, and end when the callee
    /// drops them.
    pub(super) fn on_begun(&self, call: u64) {
        let arguments =
            self.open.0.lock().get(&call).and_then(|waiting| waiting.arguments.lock().take());
        // After the lock: dropping the last reference cancels the object's call.
        drop(arguments);
    }

    pub(super) fn on_item(self: &Arc<Self>, call: u64, item: SentResult) {
        let item = self.borrow_result(item);
        let (items, arguments) = {
            let open = self.open.0.lock();
            let Some(waiting) = open.get(&call) else { return };
            (waiting.items.clone(), waiting.arguments.lock().take())
        };
        drop(arguments);
        if let Some(items) = items {
            let _ = items.send(item);
        }
    }

    /// True if the call waits for its answer.
    fn is_open(&self, call: u64) -> bool {
        self.open.0.lock().contains_key(&call)
    }

    /// Cancels a call, unless it was answered.
    fn cancel(&self, call: u64) {
        let waiting = self.open.0.lock().remove(&call);
        if let Some(waiting) = waiting {
            let _ = waiting.answer.send(Answer::Cancelled);
            self.send(&Frame::Cancel { call });
        }
    }

    /// Fails all calls that are not answered, because the lane is lost. The calls may have begun.
    pub(super) fn calls_lost(&self) {
        let open = std::mem::take(&mut *self.open.0.lock());
        for (_, waiting) in open {
            let _ = waiting.answer.send(Answer::Lost);
        }
    }
}

/// Serves the calls of a replica that is at the other end of a lane.
pub(crate) struct RemoteTarget {
    caller: Arc<Peer>,
    /// The host's end, which grants slots. Works only within one process: a host in another process
    /// would send grants in frames.
    host: Arc<Peer>,
    replica: Arc<str>,
    /// The target that serves the calls at the host.
    hosted: Arc<dyn Target>,
}

impl RemoteTarget {
    /// Puts a replica's target, `hosted`, behind a lane.
    pub(crate) fn new(
        caller: &Arc<Peer>,
        host: &Arc<Peer>,
        replica: &Arc<str>,
        methods: Vec<&'static dyn AnyMethod>,
        hosted: Arc<dyn Target>,
    ) -> Self {
        host.add_replica(replica, methods, Arc::clone(&hosted));
        let (caller, host) = (Arc::clone(caller), Arc::clone(host));
        Self { caller, host, replica: Arc::clone(replica), hosted }
    }
}

impl Drop for RemoteTarget {
    fn drop(&mut self) {
        self.host.remove_replica(&self.replica);
    }
}

impl Target for RemoteTarget {
    fn instance(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.hosted.instance()
    }

    fn is_direct(&self) -> bool {
        false
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn keeps_order(&self, method: &dyn AnyMethod) -> bool {
        self.hosted.keeps_order(method)
    }

    fn call(&self, call: Call) -> BoxFuture<'static, AnyReply> {
        let Call { method, arguments, items, request, deadline, slot } = call;
        let slot = slot.expect("the slot of a remote call goes with it");
        let replica = Arc::clone(slot.replica());
        let encoded = method.encode_args(&arguments);
        drop(arguments);
        let payload = match encoded {
            Ok(payload) => payload,
            Err(error) => return Box::pin(async { Reply::Answer(Err(error.widen())) }),
        };
        let deadline = deadline.unwrap_or_else(|| Deadline::new(None, None));
        let scope =
            || Some(Scope::away(request.clone(), Arc::clone(&deadline), Arc::clone(&replica)));
        let arguments = self.caller.lend(&payload, scope);
        let (answer, answered) = oneshot::channel();
        let (sender, incoming) = match &items {
            Some(_) => {
                let (sender, incoming) = mpsc::unbounded_channel();
                (Some(sender), Some(incoming))
            }
            None => (None, None),
        };
        let kept: Kept = Arc::new(Mutex::new(Some(payload)));
        let number = self.caller.number();
        let waiting = OpenAnswer { answer, items: sender, arguments: Arc::clone(&kept) };
        self.caller.open.0.lock().insert(number, waiting);
        let open = OpenCall::new(&self.caller, number, &deadline);
        let grant = self.host.grants.grant(slot);
        let left = |at: Option<Instant>| at.map(|at| at.saturating_duration_since(Instant::now()));
        let inherited = deadline.inherited();
        let sent = self.caller.send(&Frame::Call(Box::new(CallFrame {
            call: number,
            replica: self.replica.to_string(),
            grant,
            method: method.info().name.to_owned(),
            request: request.sent(&replica.compute.runtime().ids),
            own: left(deadline.own()),
            inherited: left(inherited),
            arguments,
        })));
        if !sent {
            drop(self.host.grants.take(grant));
            let error = lost(&replica, false);
            return Box::pin(async { Reply::Answer(Err(error)) });
        }
        // A response that was dropped on another thread meanwhile had nothing to cancel yet.
        if !self.caller.is_open(number) {
            self.caller.send(&Frame::Cancel { call: number });
        }
        // The same holds for a response that was detached meanwhile.
        if deadline.is_detached() || deadline.inherited() != inherited {
            open.watch.deadline_changed();
        }
        Box::pin(async move {
            let directory = Arc::clone(&replica.context.directory);
            if let (Some(items), Some(incoming)) = (items, incoming) {
                let grant = open.grant();
                method.receive_items(items, incoming, Arc::clone(&directory), grant).await;
            }
            let answer = answered.await;
            open.is_answered();
            answered_call(method, answer.unwrap_or(Answer::Lost), &kept, &replica, &directory)
        })
    }

    fn hook(&self, hook: Hook<'_>) -> Option<BoxFuture<'static, Result<(), Error>>> {
        self.hosted.hook(hook)
    }

    fn is_busy(&self) -> bool {
        self.hosted.is_busy()
    }
}

/// The reply of a call, from its answer.
fn answered_call(
    method: &dyn AnyMethod,
    answer: Answer,
    kept: &Kept,
    replica: &Replica,
    directory: &Arc<dyn Directory>,
) -> AnyReply {
    match answer {
        Answer::Result(result) => Reply::Answer(method.decode_result(result, directory)),
        Answer::GivenBack => {
            let Some(payload) = kept.lock().take() else {
                let error = "the other end gave a call back that it had begun".to_owned();
                return Reply::Answer(Err(CallError::Transport(error)));
            };
            match method.decode_args(&payload, directory) {
                Ok(args) => Reply::GivenBack(args),
                Err(error) => Reply::Answer(Err(error.widen())),
            }
        }
        Answer::Cancelled => Reply::Answer(Err(CallError::Cancelled)),
        Answer::Lost => Reply::Answer(Err(lost(replica, true))),
    }
}

/// The failure of a call whose lane was lost. `started` is true if the call had been sent, and
/// so may have begun.
fn lost<E>(replica: &Replica, started: bool) -> CallError<E> {
    CallError::Unavailable {
        deployment: replica.context.deployment.to_string(),
        started,
        reason: format!("the connection to replica {} was lost", replica.context.id),
    }
}

/// A guard of a call that waits for its answer. Dropping it cancels the call.
struct OpenCall {
    peer: Arc<Peer>,
    number: u64,
    watch: Arc<Watch>,
}

impl OpenCall {
    fn new(peer: &Arc<Peer>, number: u64, deadline: &Arc<Deadline>) -> Self {
        let watch = Arc::new(Watch {
            peer: Arc::downgrade(peer),
            number,
            deadline: Arc::downgrade(deadline),
        });
        let watcher: Arc<dyn DeadlineWatcher> = Arc::clone(&watch) as _;
        deadline.watch(&Arc::downgrade(&watcher));
        Self { peer: Arc::clone(peer), number, watch }
    }

    /// Returns a function that notifies the host of room for further items.
    fn grant(&self) -> Box<dyn Fn(usize) + Send + Sync> {
        let (peer, call) = (Arc::clone(&self.peer), self.number);
        Box::new(move |items| {
            peer.send(&Frame::Credit { call, items });
        })
    }

    /// Forgets the call, so that dropping the guard does not cancel it.
    fn is_answered(&self) {
        self.peer.open.0.lock().remove(&self.number);
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.peer.cancel(self.number);
    }
}

/// Notifies the host when the call is cancelled or detached, and when the deadline that the call
/// inherits changes.
struct Watch {
    peer: Weak<Peer>,
    number: u64,
    deadline: Weak<Deadline>,
}

impl DeadlineWatcher for Watch {
    fn call_cancelled(&self) {
        if let Some(peer) = self.peer.upgrade() {
            peer.cancel(self.number);
        }
    }

    fn deadline_changed(&self) {
        let (Some(peer), Some(deadline)) = (self.peer.upgrade(), self.deadline.upgrade()) else {
            return;
        };
        let now = Instant::now();
        let inherited = deadline.inherited().map(|at| at.saturating_duration_since(now));
        let detached = deadline.is_detached();
        peer.send(&Frame::Detach { call: self.number, detached, inherited });
    }
}
