//! The attachments that the ends of a lane lend each other: objects, which are fetched, and
//! streams, which are pulled.
//!
//! A loan ends when the borrower returns it, or when the lane is lost.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;

use super::frame::{Frame, SentAttachment, SentPayload, SentResult};
use super::peer::{Peer, add_room};
use crate::call::pending::panic_message;
use crate::call::wire::attachment::{AttachedObject, AttachedStream, Attachment};
use crate::call::{CallError, Payload};
use crate::replica::Scope;

/// The objects and streams that this end lends to the other.
#[derive(Default)]
pub(super) struct Lent {
    next: u64,
    objects: HashMap<u64, LentObject>,
    streams: HashMap<u64, LentStream>,
}

struct LentObject {
    object: Arc<dyn AttachedObject>,
    /// The tasks that fetch the value. Aborted with the loan, because nobody waits for the value
    /// any more.
    fetching: Vec<AbortHandle>,
}

struct LentStream {
    source: Arc<AttachedStream>,
    /// The scope of the call that the stream is an argument of. The stream's own code runs in
    /// it, so that calls which the code makes belong to the same request.
    scope: Option<Scope>,
    pump: Option<Pump>,
}

/// The task that reads a lent stream, as far as the other end has room.
struct Pump {
    room: Arc<Semaphore>,
    /// None until the task is spawned.
    task: Option<AbortHandle>,
}

impl Lent {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// True if nothing is lent.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.streams.is_empty()
    }
}

impl Drop for LentObject {
    fn drop(&mut self) {
        for fetching in &self.fetching {
            fetching.abort();
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// The fetches and streams for which this end waits.
#[derive(Default)]
pub(super) struct Borrowed {
    fetches: HashMap<u64, oneshot::Sender<Result<Payload, CallError>>>,
    streams: HashMap<u64, mpsc::UnboundedSender<StreamStep>>,
}

/// One step of a borrowed stream.
enum StreamStep {
    Item(Result<Payload, CallError>),
    End,
}

impl Borrowed {
    /// True if no fetch and no stream is waited for.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.fetches.is_empty() && self.streams.is_empty()
    }
}

impl Peer {
    /// Lends the attachments of a payload to the other end. Returns the payload for a frame.
    /// Lent streams are read in `scope`.
    pub(super) fn lend(&self, payload: &Payload, scope: impl Fn() -> Option<Scope>) -> SentPayload {
        let mut lent = self.lent.lock();
        let attachments = payload
            .attachments
            .iter()
            .map(|attachment| {
                let number = lent.number();
                match attachment {
                    Attachment::Object(object) => {
                        let object = Arc::clone(object);
                        lent.objects.insert(number, LentObject { object, fetching: Vec::new() });
                        SentAttachment::Object(number)
                    }
                    Attachment::Stream(source) => {
                        let (source, scope) = (Arc::clone(source), scope());
                        lent.streams.insert(number, LentStream { source, scope, pump: None });
                        SentAttachment::Stream(number)
                    }
                }
            })
            .collect();
        SentPayload { bytes: payload.bytes.clone(), attachments }
    }

    /// Lends the attachments of a result. Returns the result for a frame.
    pub(super) fn lend_result(&self, result: Result<Payload, CallError<Payload>>) -> SentResult {
        match result {
            Ok(payload) => Ok(self.lend(&payload, || None)),
            Err(error) => Err(error.map_app(|payload| self.lend(&payload, || None))),
        }
    }

    /// Borrows the attachments of a payload that came in a frame. Each is returned to its owner
    /// when its last reference is dropped.
    pub(super) fn borrow(self: &Arc<Self>, sent: SentPayload) -> Payload {
        let attachments = sent
            .attachments
            .into_iter()
            .map(|attachment| match attachment {
                SentAttachment::Object(number) => {
                    Attachment::Object(Arc::new(BorrowedObject { peer: Arc::clone(self), number }))
                }
                SentAttachment::Stream(number) => {
                    let stream = BorrowedStream::new(self, number);
                    Attachment::Stream(Arc::new(AttachedStream::new(stream.boxed())))
                }
            })
            .collect();
        Payload { bytes: sent.bytes, attachments }
    }

    /// Borrows the attachments of a result that came in a frame.
    pub(super) fn borrow_result(
        self: &Arc<Self>,
        sent: SentResult,
    ) -> Result<Payload, CallError<Payload>> {
        match sent {
            Ok(payload) => Ok(self.borrow(payload)),
            Err(error) => Err(error.map_app(|payload| self.borrow(payload))),
        }
    }

    /// Handles a fetch: sends an object's value as soon as it exists.
    pub(super) fn on_fetch(self: &Arc<Self>, number: u64, fetch: u64) {
        let mut lent = self.lent.lock();
        let Some(entry) = lent.objects.get_mut(&number) else {
            drop(lent);
            let value = Err(CallError::ObjectLost);
            self.send(&Frame::Object { object: number, fetch, value });
            return;
        };
        let (object, peer) = (Arc::clone(&entry.object), Arc::downgrade(self));
        // Before `spawn`, which drops the future at once if the runtime shuts down: the future
        // may take the lock when it is dropped.
        drop(lent);
        let task = self.tokio.spawn(async move {
            // The user's `Serialize` may panic, and the other end would wait forever.
            let fetched = AssertUnwindSafe(object.fetch()).catch_unwind().await;
            let value = fetched.unwrap_or_else(|panic| Err(panicked(&*panic)));
            let value = value.map_err(CallError::widen);
            if let Some(peer) = peer.upgrade() {
                let value = peer.lend_result(value);
                peer.send(&Frame::Object { object: number, fetch, value });
            }
        });
        match self.lent.lock().objects.get_mut(&number) {
            Some(entry) => {
                entry.fetching.retain(|fetching| !fetching.is_finished());
                entry.fetching.push(task.abort_handle());
            }
            // Returned on another thread meanwhile.
            None => task.abort(),
        }
    }

    /// Handles an object's value, for which a fetch waits.
    pub(super) fn on_object(self: &Arc<Self>, fetch: u64, value: SentResult) {
        // Borrowed even if nobody waits, so that the attachments are returned.
        let value = self.borrow_result(value);
        let fetch = self.borrowed.lock().fetches.remove(&fetch);
        if let Some(fetch) = fetch {
            let _ = fetch.send(value.map_err(without_own_error));
        }
    }

    /// Handles the return of an object.
    pub(super) fn on_release(&self, number: u64) {
        let released = self.lent.lock().objects.remove(&number);
        // After the lock: dropping the last reference cancels the object's call.
        drop(released);
    }

    /// Handles a request for further items of a stream.
    pub(super) fn on_pull(self: &Arc<Self>, number: u64, items: usize) {
        let mut lent = self.lent.lock();
        let Some(stream) = lent.streams.get_mut(&number) else { return };
        if let Some(pump) = &stream.pump {
            add_room(&pump.room, items);
            return;
        }
        let Some(source) = stream.source.take() else {
            drop(lent);
            let read = CallError::Codec("an `InputStream` can be read once".to_owned());
            self.send(&Frame::StreamItem { stream: number, item: Err(read) });
            self.send(&Frame::StreamEnd { stream: number });
            return;
        };
        let (room, peer) = (Arc::new(Semaphore::new(0)), Arc::downgrade(self));
        add_room(&room, items);
        let mut scoped = InScopeOf { scope: stream.scope.take(), items: source };
        let permits = Arc::clone(&room);
        stream.pump = Some(Pump { room, task: None });
        // Before `spawn`, as in `on_fetch`.
        drop(lent);
        // The task ends with the stream, or is aborted with the loan.
        let task = self.tokio.spawn(async move {
            while let Ok(permit) = permits.acquire().await {
                permit.forget();
                // The user's code may panic, and the other end would wait forever.
                let made = AssertUnwindSafe(scoped.next()).catch_unwind().await;
                let is_last = made.is_err();
                let Some(peer) = peer.upgrade() else { return };
                let Some(item) = made.unwrap_or_else(|panic| Some(Err(panicked(&*panic)))) else {
                    break;
                };
                let item = peer.lend_result(item.map_err(CallError::widen));
                peer.send(&Frame::StreamItem { stream: number, item });
                if is_last {
                    break;
                }
            }
            let _ = catch_unwind(AssertUnwindSafe(|| drop(scoped)));
            if let Some(peer) = peer.upgrade() {
                // Taken out of the loans before the other end is notified of the end, after which
                // it may drop the stream.
                let ended = peer.lent.lock().streams.remove(&number);
                peer.send(&Frame::StreamEnd { stream: number });
                drop(ended);
            }
        });
        let mut lent = self.lent.lock();
        match lent.streams.get_mut(&number).and_then(|stream| stream.pump.as_mut()) {
            Some(pump) => pump.task = Some(task.abort_handle()),
            // Ended, or returned on another thread meanwhile.
            None => task.abort(),
        }
    }

    /// Handles the return of a stream.
    pub(super) fn on_close_stream(&self, number: u64) {
        let closed = self.lent.lock().streams.remove(&number);
        // After the lock: dropping the stream stops its producer.
        drop(closed);
    }

    /// Handles an item of a borrowed stream.
    pub(super) fn on_stream_item(self: &Arc<Self>, number: u64, item: SentResult) {
        let item = self.borrow_result(item);
        self.stream_step(number, StreamStep::Item(item.map_err(without_own_error)));
    }

    /// Handles the end of a borrowed stream.
    pub(super) fn on_stream_end(&self, number: u64) {
        self.stream_step(number, StreamStep::End);
    }

    fn stream_step(&self, number: u64, step: StreamStep) {
        let reader = self.borrowed.lock().streams.get(&number).cloned();
        if let Some(reader) = reader {
            let _ = reader.send(step);
        }
    }

    /// Ends all loans, because the lane is lost.
    pub(super) fn loans_lost(&self) {
        let lent = std::mem::take(&mut *self.lent.lock());
        let borrowed = std::mem::take(&mut *self.borrowed.lock());
        drop(lent);
        for (_, fetch) in borrowed.fetches {
            let _ = fetch.send(Err(CallError::ObjectLost));
        }
        for (_, reader) in borrowed.streams {
            let _ = reader.send(StreamStep::Item(Err(sender_lost())));
            let _ = reader.send(StreamStep::End);
        }
    }
}

/// The failure of an object or of a stream's item. Neither has an error of its own, whatever the
/// other end says.
fn without_own_error(error: CallError<Payload>) -> CallError {
    match error {
        CallError::App(_) => CallError::Codec("an error came where there can be none".to_owned()),
        other => other.map_app(|_| unreachable!("an own error was sorted out")),
    }
}

/// The failure of a stream whose sender is gone.
fn sender_lost() -> CallError {
    CallError::Transport("the node that sent this stream was lost".to_owned())
}

/// The failure of an attachment whose code panicked.
fn panicked(panic: &(dyn std::any::Any + Send)) -> CallError {
    CallError::Panicked(panic_message(panic))
}

/// A stream whose code runs in the scope of the call that the stream is an argument of.
struct InScopeOf<S> {
    scope: Option<Scope>,
    items: S,
}

impl<S: Stream + Unpin> Stream for InScopeOf<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let Self { scope, items } = &mut *self;
        Scope::enter_for_now(scope, || items.poll_next_unpin(cx))
    }
}

/// An object that the other end lends. Dropping it returns the object.
struct BorrowedObject {
    peer: Arc<Peer>,
    number: u64,
}

impl AttachedObject for BorrowedObject {
    fn local(&self) -> Option<&(dyn std::any::Any + Send + Sync)> {
        None
    }

    fn fetch(self: Arc<Self>) -> BoxFuture<'static, Result<Payload, CallError>> {
        async move {
            let (fetched, value) = oneshot::channel();
            let fetch = self.peer.number();
            self.peer.borrowed.lock().fetches.insert(fetch, fetched);
            let _asked = Asked { peer: Arc::downgrade(&self.peer), fetch };
            if !self.peer.send(&Frame::Fetch { object: self.number, fetch }) {
                return Err(CallError::ObjectLost);
            }
            value.await.unwrap_or(Err(CallError::ObjectLost))
        }
        .boxed()
    }
}

impl Drop for BorrowedObject {
    fn drop(&mut self) {
        self.peer.send(&Frame::Release { object: self.number });
    }
}

/// A guard of a fetch. Dropping it forgets the fetch.
struct Asked {
    peer: Weak<Peer>,
    fetch: u64,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(peer) = self.peer.upgrade() {
            peer.borrowed.lock().fetches.remove(&self.fetch);
        }
    }
}

/// A stream that the other end lends. Dropping it stops its producer.
///
/// Each item is asked for when the stream is polled, one at a time, so that the producer is
/// never ahead of the reader.
struct BorrowedStream {
    peer: Arc<Peer>,
    number: u64,
    /// Made at the first poll. The channel is unbounded, but holds no more than one item and the
    /// end.
    steps: Option<mpsc::UnboundedReceiver<StreamStep>>,
    asked: bool,
    ended: bool,
}

impl BorrowedStream {
    fn new(peer: &Arc<Peer>, number: u64) -> Self {
        Self { peer: Arc::clone(peer), number, steps: None, asked: false, ended: false }
    }
}

impl Stream for BorrowedStream {
    type Item = Result<Payload, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        let steps = this.steps.get_or_insert_with(|| {
            let (reader, steps) = mpsc::unbounded_channel();
            this.peer.borrowed.lock().streams.insert(this.number, reader);
            steps
        });
        if !this.asked {
            this.asked = true;
            if !this.peer.send(&Frame::Pull { stream: this.number, items: 1 }) {
                this.ended = true;
                return Poll::Ready(Some(Err(sender_lost())));
            }
        }
        match std::task::ready!(steps.poll_recv(cx)) {
            Some(StreamStep::Item(item)) => {
                this.asked = false;
                Poll::Ready(Some(item))
            }
            Some(StreamStep::End) | None => {
                this.ended = true;
                Poll::Ready(None)
            }
        }
    }
}

impl Drop for BorrowedStream {
    fn drop(&mut self) {
        self.peer.borrowed.lock().streams.remove(&self.number);
        if !self.ended {
            self.peer.send(&Frame::CloseStream { stream: self.number });
        }
    }
}
