//! [`Inbox`]: the messages that have arrived on a WebSocket and were not taken yet, and the end of
//! the stream of them.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::error::WebSocketError;
use super::message::Message;

/// The number of messages that wait for the method. Beyond it, the client has to wait.
const MOST: usize = 32;

/// The messages that have arrived and were not taken yet.
pub(super) struct Inbox {
    /// The number of bytes that may wait for the method.
    most_bytes: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Message>,
    /// The number of bytes in `messages`.
    bytes: usize,
    end: End,
    /// The error for which the reader ended the stream, until the driver takes the error.
    fault: Option<WebSocketError>,
    /// True once nobody reads any more.
    unread: bool,
    reader: Option<Waker>,
    driver: Option<Waker>,
}

/// The end of the stream.
#[derive(Default)]
enum End {
    #[default]
    Open,
    /// The stream ends after the messages that wait, with this error or with none.
    Near(Option<WebSocketError>),
    /// The reader has taken the end.
    Taken,
}

impl State {
    fn is_full(&self, most_bytes: usize) -> bool {
        self.messages.len() >= MOST || self.bytes >= most_bytes.max(1)
    }
}

impl Inbox {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self { most_bytes, state: Mutex::default() }
    }

    /// True if another message may arrive. If not, the driver is woken when one may.
    pub(super) fn has_room(&self, cx: &Context<'_>) -> bool {
        let mut state = self.state.lock();
        let is_full = state.is_full(self.most_bytes);
        if is_full {
            state.driver = Some(cx.waker().clone());
        }
        !is_full
    }

    /// Adds a message, which is dropped if nobody reads.
    pub(super) fn push(&self, message: Message) {
        let mut state = self.state.lock();
        if state.unread || !matches!(state.end, End::Open) {
            return;
        }
        state.bytes += message.len();
        state.messages.push_back(message);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Ends the stream. Returns the waker of the reader if it waits for a message, and wakes it.
    pub(super) fn end(&self, error: Option<WebSocketError>) -> Option<Waker> {
        let mut state = self.state.lock();
        if matches!(state.end, End::Open) {
            state.end = End::Near(error);
        }
        let reader = state.reader.take();
        drop(state);
        reader.inspect(Waker::wake_by_ref)
    }

    /// True once the reader has taken the end of the stream.
    pub(super) fn end_is_taken(&self) -> bool {
        matches!(self.state.lock().end, End::Taken)
    }

    /// Returns the error for which the reader ended the stream. If there is none, the driver is
    /// woken when there is.
    pub(super) fn poll_fault(&self, cx: &Context<'_>) -> Poll<WebSocketError> {
        let mut state = self.state.lock();
        match state.fault.take() {
            Some(fault) => Poll::Ready(fault),
            None => {
                state.driver = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Returns the error for which the reader ended the stream.
    pub(super) fn take_fault(&self) -> Option<WebSocketError> {
        self.state.lock().fault.take()
    }

    /// Takes the next message, or the end of the stream.
    pub(super) fn poll_take(
        &self,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Message, WebSocketError>>> {
        let mut state = self.state.lock();
        let was_full = state.is_full(self.most_bytes);
        if let Some(message) = state.messages.pop_front() {
            state.bytes -= message.len();
            let driver = if was_full { state.driver.take() } else { None };
            drop(state);
            if let Some(driver) = driver {
                driver.wake();
            }
            return Poll::Ready(Some(Ok(message)));
        }
        match std::mem::replace(&mut state.end, End::Taken) {
            End::Near(Some(error)) => Poll::Ready(Some(Err(error))),
            End::Near(None) | End::Taken => Poll::Ready(None),
            End::Open => {
                state.end = End::Open;
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Ends the stream for a message that does not fit. The error counts as taken.
    pub(super) fn fail(&self, fault: WebSocketError) {
        let mut state = self.state.lock();
        state.end = End::Taken;
        state.fault = Some(fault);
        Self::leave(state);
    }

    /// Drops what arrives from now on.
    pub(super) fn unread(&self) {
        let mut state = self.state.lock();
        state.unread = true;
        state.reader = None;
        Self::leave(state);
    }

    fn leave(mut state: parking_lot::MutexGuard<'_, State>) {
        state.bytes = 0;
        let unread = std::mem::take(&mut state.messages);
        let driver = state.driver.take();
        drop(state);
        drop(unread);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}
