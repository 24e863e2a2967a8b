//! [`Driver`]: the task of a WebSocket, which reads and writes the connection and polls the method.

use std::any::Any;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures::stream::FusedStream as _;
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{
    Instant, Interval, MissedTickBehavior, Sleep, interval_at, sleep_until, timeout,
};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Error};

use super::close_code::CloseCode;
use super::error::WebSocketError;
use super::inbox::Inbox;
use super::message::Message;
use super::socket::Outgoing;
use crate::application::HttpSettings;
use crate::call::CallError;
use crate::call::pending::panic_message;
use crate::call::wire::echo::shown_log;
use crate::time;

/// The time for which a method may go on once it has seen its client leave.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The time in which a client has to answer the frame that closes the socket, and to read that frame
/// once the replica has ended.
pub(super) const GOODBYE: Duration = Duration::from_secs(2);
/// The time for which a client that has sent too much is listened to after the socket was closed, so
/// that the system does not take back the frame that says why.
const LINGER: Duration = Duration::from_secs(1);
/// The longest reason of a close frame (RFC 6455, section 5.5).
const REASON: usize = 123;

/// The outcome of a method: its result, or its panic.
pub(super) type Outcome = Result<Result<(), CallError<String>>, Box<dyn Any + Send>>;

/// The task of a WebSocket.
pub(super) struct Driver<S, M> {
    pub(super) io: Io<S>,
    /// The method, in its scope.
    pub(super) method: Pin<Box<M>>,
    /// The name of the method, and the id of its request, for the log.
    pub(super) name: &'static str,
    pub(super) request_id: Arc<str>,
}

/// The connection of a WebSocket, and the queues between it and the method.
pub(super) struct Io<S> {
    stream: WebSocketStream<S>,
    inbox: Arc<Inbox>,
    outbox: mpsc::Receiver<Outgoing>,
    max_message: usize,
    send_timeout: Duration,
    /// True if something was written and not flushed.
    unflushed: bool,
    pings: Option<Interval>,
    silence: Option<Silence>,
}

/// The time for which nothing has arrived.
struct Silence {
    limit: Duration,
    /// The time at which something last arrived, or nothing was read because the method is behind.
    heard: Instant,
    timer: Pin<Box<Sleep>>,
}

/// The first thing that ends a WebSocket.
enum End {
    Method(Outcome),
    /// The replica or the process stops.
    Drain,
    /// The client has closed the socket, or the connection is lost.
    Left(Option<WebSocketError>),
    /// The client has done something that it must not do.
    Fault(WebSocketError),
    /// The method has closed the socket.
    Close(CloseCode, String),
}

impl<S, M> Driver<S, M>
where
    S: AsyncRead + AsyncWrite + Unpin,
    M: Future<Output = Outcome>,
{
    /// Runs the socket until it is closed and the method has ended. `drain` resolves when the replica
    /// or the process stops.
    pub(super) async fn run(mut self, drain: impl Future<Output = ()>) {
        let inbox = Arc::clone(&self.io.inbox);
        let end = tokio::select! {
            biased;
            outcome = &mut self.method => match inbox.take_fault() {
                // The method has returned because of the fault.
                Some(fault) => {
                    self.report(outcome, true);
                    return self.io.close_for(&fault).await;
                }
                None => End::Method(outcome),
            },
            () = drain => End::Drain,
            end = poll_fn(|cx| self.io.poll_end(cx)) => end,
        };
        match end {
            End::Method(outcome) => {
                let (code, reason) = match &outcome {
                    Ok(Ok(())) => (CloseCode::NORMAL, ""),
                    Ok(Err(CallError::App(_))) | Err(_) => {
                        (CloseCode::INTERNAL_ERROR, "internal error")
                    }
                    Ok(Err(_)) => (CloseCode::INTERNAL_ERROR, "the replica ended"),
                };
                self.report(outcome, false);
                self.io.close(code, reason.to_owned()).await;
            }
            End::Drain => {
                inbox.end(None);
                let closing = self.io.close(CloseCode::GOING_AWAY, "shutting down".to_owned());
                let (outcome, ()) = tokio::join!(self.method.as_mut(), closing);
                self.report(outcome, true);
            }
            End::Close(code, reason) => {
                inbox.end(None);
                let (outcome, ()) = tokio::join!(self.method.as_mut(), self.io.close(code, reason));
                self.report(outcome, true);
            }
            End::Left(error) => {
                let reader = inbox.end(error.clone());
                let answered = async {
                    if error.is_none() {
                        self.io.answer_close().await;
                    } else {
                        self.io.outbox.close();
                    }
                };
                let (outcome, ()) = tokio::join!(last_words(self.method, &inbox, reader), answered);
                if let Some(outcome) = outcome {
                    report(self.name, &self.request_id, outcome, true);
                }
            }
            End::Fault(error) => {
                let reader = inbox.end(Some(error.clone()));
                let (outcome, ()) = tokio::join!(
                    last_words(self.method, &inbox, reader),
                    self.io.close_for(&error)
                );
                if let Some(outcome) = outcome {
                    report(self.name, &self.request_id, outcome, true);
                }
            }
        }
    }

    fn report(&self, outcome: Outcome, closing: bool) {
        report(self.name, &self.request_id, outcome, closing);
    }
}

/// Logs how a method failed. A method whose socket is closed fails because of that, most often.
fn report(method: &str, request_id: &str, outcome: Outcome, closing: bool) {
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(CallError::App(error))) if closing => {
            let error = shown_log(&error);
            tracing::debug!(request_id, method, "the WebSocket's method ended with: {error}");
        }
        Ok(Err(CallError::App(error))) => {
            tracing::error!(request_id, method, "the WebSocket failed: {}", shown_log(&error));
        }
        Ok(Err(ended)) => tracing::debug!(request_id, method, "the WebSocket ended: {ended}"),
        Err(panic) => {
            let panic = panic_message(&*panic);
            tracing::error!(request_id, method, "the WebSocket panicked: {}", shown_log(&panic));
        }
    }
}

/// Lets a method end whose client has left. A method that waits for the client sees it leave, and
/// may end in its own way, but not for long. A method that waits for anything else is dropped at
/// once, and its calls with it. `reader` is the waker that the method had left at the socket.
async fn last_words<M: Future<Output = Outcome>>(
    mut method: Pin<Box<M>>,
    inbox: &Inbox,
    reader: Option<Waker>,
) -> Option<Outcome> {
    if reader.is_none() && !inbox.end_is_taken() {
        return None;
    }
    let first = poll_fn(|cx| {
        let polled = method.as_mut().poll(cx);
        let here = reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker()));
        Poll::Ready(match polled {
            Poll::Ready(outcome) => Err(outcome),
            // The method has waited for the socket once, and waits for something else now.
            Poll::Pending => Ok(!here || inbox.end_is_taken()),
        })
    });
    match first.await {
        Err(outcome) => Some(outcome),
        Ok(false) => None,
        Ok(true) => timeout(LAST_WORDS, method).await.ok(),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Io<S> {
    pub(super) fn new(
        stream: WebSocketStream<S>,
        inbox: Arc<Inbox>,
        outbox: mpsc::Receiver<Outgoing>,
        settings: &HttpSettings,
    ) -> Self {
        let ping = settings.websocket_ping_interval;
        let pings = (!ping.is_zero()).then(|| {
            let mut pings = interval_at(time::after_at_most(Instant::now(), ping), ping);
            pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pings
        });
        let limit = settings.websocket_idle_timeout;
        let silence = (!limit.is_zero()).then(|| {
            let heard = Instant::now();
            let timer = Box::pin(sleep_until(time::after_at_most(heard, limit)));
            Silence { limit, heard, timer }
        });
        Self {
            stream,
            inbox,
            outbox,
            max_message: max_message(settings),
            send_timeout: settings.send_timeout,
            unflushed: false,
            pings,
            silence,
        }
    }

    /// Reads and writes, until something ends the socket.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if let Poll::Ready(fault) = self.inbox.poll_fault(cx) {
            return Poll::Ready(End::Fault(fault));
        }
        if let Poll::Ready(end) = self.poll_write(cx) {
            return Poll::Ready(end);
        }
        if let Poll::Ready(end) = self.poll_read(cx) {
            return Poll::Ready(end);
        }
        self.poll_silence(cx).map(End::Fault)
    }

    /// Sends what the method has sent, one message after the other, and pings.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if self.unflushed {
                match ready!(self.stream.poll_flush_unpin(cx)) {
                    Ok(()) => self.unflushed = false,
                    Err(error) => return Poll::Ready(End::Left(Some(lost(&error)))),
                }
            }
            match ready!(self.stream.poll_ready_unpin(cx)) {
                Ok(()) => {}
                Err(error) => return Poll::Ready(End::Left(Some(lost(&error)))),
            }
            let ping = self.pings.as_mut().is_some_and(|pings| pings.poll_tick(cx).is_ready());
            let frame = if ping {
                tungstenite::Message::Ping(tungstenite::Bytes::new())
            } else {
                match ready!(self.outbox.poll_recv(cx)) {
                    Some(Outgoing::Message(message)) => message.into(),
                    Some(Outgoing::Close(code, reason)) => {
                        return Poll::Ready(End::Close(code, reason));
                    }
                    // Nobody can send any more. The socket stays open as long as the method runs.
                    None => return Poll::Pending,
                }
            };
            self.unflushed = true;
            if let Err(error) = self.stream.start_send_unpin(frame) {
                return Poll::Ready(End::Left(Some(lost(&error))));
            }
        }
    }

    /// Reads what the client sends, as long as the method takes it.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if !self.inbox.has_room(cx) {
                // The method is behind, not the client.
                self.hear();
                return Poll::Pending;
            }
            let read = ready!(self.stream.poll_next_unpin(cx));
            self.hear();
            match read {
                Some(Ok(tungstenite::Message::Text(text))) => {
                    self.inbox.push(Message::Text(text.as_str().to_owned()));
                }
                Some(Ok(tungstenite::Message::Binary(bytes))) => {
                    self.inbox.push(Message::Binary(bytes));
                }
                Some(Ok(tungstenite::Message::Close(_))) | None => {
                    return Poll::Ready(End::Left(None));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(self.end_of(&error)),
            }
        }
    }

    fn end_of(&self, error: &Error) -> End {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => {
                End::Fault(WebSocketError::TooLarge { limit: self.max_message })
            }
            Error::Utf8(_) => End::Fault(WebSocketError::Invalid {
                code: CloseCode::INVALID_DATA,
                message: "a text message is not UTF-8".to_owned(),
            }),
            Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake
                | tungstenite::error::ProtocolError::HandshakeIncomplete,
            )
            | Error::Io(_) => End::Left(Some(lost(error))),
            error => End::Fault(WebSocketError::Protocol(error.to_string())),
        }
    }

    fn hear(&mut self) {
        if let Some(silence) = &mut self.silence {
            silence.heard = Instant::now();
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<WebSocketError> {
        let Some(Silence { limit, heard, timer }) = &mut self.silence else {
            return Poll::Pending;
        };
        loop {
            ready!(timer.as_mut().poll(cx));
            let by = time::after_at_most(*heard, *limit);
            if by <= Instant::now() {
                return Poll::Ready(WebSocketError::Silent(limit.as_secs()));
            }
            timer.as_mut().reset(by);
        }
    }

    /// Closes the socket because of an error.
    async fn close_for(&mut self, error: &WebSocketError) {
        let (code, reason) = error.close();
        self.close(code, reason).await;
    }

    /// Sends what the method has sent before, then the frame that closes the socket, and waits for
    /// the client to answer.
    async fn close(&mut self, code: CloseCode, reason: String) {
        self.outbox.close();
        let sent = self.within_send_timeout(code, reason).await;
        // After an error, nothing more can be read as messages.
        if sent && !self.stream.is_terminated() {
            let read = async { while let Some(Ok(_)) = self.stream.next().await {} };
            let _ = timeout(GOODBYE, read).await;
            self.end_connection(Duration::ZERO).await;
        } else {
            self.end_connection(LINGER).await;
        }
    }

    /// Sends what is left and the close frame. Returns false if that fails, or takes too long.
    async fn within_send_timeout(&mut self, code: CloseCode, reason: String) -> bool {
        let limit = self.send_timeout;
        let sending = async {
            let (mut code, mut reason) = (code, reason);
            while let Ok(left) = self.outbox.try_recv() {
                match left {
                    Outgoing::Message(message) => self.stream.feed(message.into()).await?,
                    Outgoing::Close(own, own_reason) => {
                        (code, reason) = (own, own_reason);
                        break;
                    }
                }
            }
            let mut frame = None;
            if code != CloseCode::NO_CODE {
                while reason.len() > REASON {
                    reason.pop();
                }
                frame = Some(CloseFrame { code: code.get().into(), reason: reason.into() });
            }
            self.stream.send(tungstenite::Message::Close(frame)).await
        };
        if limit.is_zero() {
            return sending.await.is_ok();
        }
        timeout(limit, sending).await.is_ok_and(|sent: Result<(), Error>| sent.is_ok())
    }

    /// Sends the answer to the frame by which the client has closed the socket.
    async fn answer_close(&mut self) {
        self.outbox.close();
        let answering = async { while let Some(Ok(_)) = self.stream.next().await {} };
        let _ = timeout(GOODBYE, answering).await;
        self.end_connection(Duration::ZERO).await;
    }

    /// Closes the sending direction of the connection, and drops what still arrives for so long.
    async fn end_connection(&mut self, linger: Duration) {
        let stream = self.stream.get_mut();
        let ending = async {
            stream.shutdown().await?;
            if !linger.is_zero() {
                let mut scrap = [0; 4096];
                while stream.read(&mut scrap).await? > 0 {}
            }
            Ok::<(), io::Error>(())
        };
        let _ = timeout(linger.max(LINGER), ending).await;
    }
}

/// The size of the largest message.
pub(super) fn max_message(settings: &HttpSettings) -> usize {
    usize::try_from(settings.max_websocket_message).unwrap_or(usize::MAX)
}

fn lost(error: &Error) -> WebSocketError {
    WebSocketError::Lost(error.to_string())
}
