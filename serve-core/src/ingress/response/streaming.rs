//! Converts a stream into a response: server-sent events, a JSON array, one JSON value per line, or
//! text and bytes as they are produced.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use serde::Serialize;
use tokio::time::{Sleep, sleep, timeout};

use crate::application::HttpSettings;
use crate::call::pending::panic_message;
use crate::call::wire::echo::shown_log;
use crate::call::{CallError, ResponseStream};
use crate::ingress::response::chunk::event;
use crate::ingress::response::error_format::ErrorFormat;
use crate::ingress::response::framing::Framing;
use crate::ingress::response::http_error::HttpError;
use crate::ingress::response::into_response::EndpointResult;
use crate::ingress::response::reply::Unsendable;
use crate::method::Streaming;

/// The largest size of a stream as one JSON array, which is in memory as a whole. A client that
/// reads JSON in one piece can be expected to hold as much, and a stream that never ends would far
/// exceed the limit.
const ARRAY_LIMIT: usize = 64 << 20;

/// Sends the items as the client accepts them. For `first_item_timeout`, nothing is sent until the
/// first item has arrived, so that an error in its place has a status of its own.
pub(crate) async fn respond<M: Streaming>(
    items: ResponseStream<M::Ok, M::Err>,
    result: EndpointResult<M::Ok>,
    status: fn(&M::Err) -> Option<u16>,
    headers: &HeaderMap,
    request_id: &Arc<str>,
    settings: &HttpSettings,
    format: ErrorFormat,
) -> Response<Body>
where
    M::Ok: Serialize,
{
    let framing = Framing::wanted(headers, result.kind);
    let (chunk, id) = (result.chunk, Arc::clone(request_id));
    let mut framed = Framed::<M> { items, framing, chunk, status, id, format, ended: false };
    let body = match framing {
        Framing::List => match framed.gather().await {
            Ok(Some(array)) => Ok(Body::from(array)),
            // Dropping the stream here stops the producer.
            Ok(None) => return HttpError::too_long_for_an_array(ARRAY_LIMIT).into_response(),
            Err(failure) => Err(failure),
        },
        _ => match timeout(settings.first_item_timeout, framed.next_item()).await {
            Ok(None) => Ok(Body::empty()),
            Ok(Some(Ok(first))) => Ok(framed.into_body(Some(first), settings)),
            Ok(Some(Err(failure))) => Err(failure),
            Err(_elapsed) => Ok(framed.into_body(None, settings)),
        },
    };
    let body = match body {
        Ok(body) => body,
        Err(failure) => return failure.into_response(),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(framing.content_type()));
    if framing != Framing::List {
        // Proxies pass each item on at once: nginx reads the second header.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    }
    response
}

/// The header by which nginx is told not to collect a response.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A stream of items as a stream of chunks.
struct Framed<M: Streaming> {
    items: ResponseStream<M::Ok, M::Err>,
    framing: Framing,
    chunk: fn(M::Ok, Framing) -> Result<Bytes, Unsendable>,
    status: fn(&M::Err) -> Option<u16>,
    id: Arc<str>,
    format: ErrorFormat,
    ended: bool,
}

/// The error of a stream whose receiver must see that the stream failed.
#[derive(Debug, thiserror::Error)]
#[error("the stream failed")]
struct Broken;

impl<M: Streaming> Framed<M>
where
    M::Ok: Serialize,
{
    /// Converts an item into a chunk, or into the failure that ends the stream. A panic of user code
    /// that runs here, such as `Serialize`, is a failure too: the items before it are sent.
    fn frame(&self, item: Result<M::Ok, CallError<M::Err>>) -> Result<Bytes, HttpError> {
        catch_unwind(AssertUnwindSafe(|| self.try_frame(item))).unwrap_or_else(|panic| {
            let (request_id, method) = (&*self.id, M::INFO.name);
            let panic = panic_message(&*panic);
            let panic = shown_log(&panic);
            tracing::error!(request_id, method, "sending an item of the stream panicked: {panic}");
            Err(HttpError::internal())
        })
    }

    fn try_frame(&self, item: Result<M::Ok, CallError<M::Err>>) -> Result<Bytes, HttpError> {
        let chunk = match item {
            Ok(item) => (self.chunk)(item, self.framing)
                .map_err(|error| CallError::Codec(error.to_string())),
            Err(error) => Err(error),
        };
        chunk.map_err(|error| HttpError::of_method::<M>(error, self.status, &self.id))
    }

    /// Returns the body of a stream, given the first item if there is one already.
    fn into_body(self, first: Option<Bytes>, settings: &HttpSettings) -> Body {
        let beats = self.framing == Framing::Events && !settings.heartbeat_interval.is_zero();
        let all = futures::stream::iter(first.map(Ok)).chain(self);
        if beats {
            Body::from_stream(Heartbeat::new(all, settings.heartbeat_interval))
        } else {
            Body::from_stream(all)
        }
    }

    async fn next_item(&mut self) -> Option<Result<Bytes, HttpError>> {
        let item = self.items.next().await?;
        Some(self.frame(item))
    }

    /// Collects all items into one array, or returns `None` if the array would be too long. An
    /// error anywhere has its own status, because nothing has been sent yet.
    async fn gather(&mut self) -> Result<Option<Vec<u8>>, HttpError> {
        let mut array = vec![b'['];
        while let Some(item) = self.next_item().await {
            let item = item?;
            // With a comma before it and the bracket after it.
            if array.len() + item.len() + 2 > ARRAY_LIMIT {
                return Ok(None);
            }
            if array.len() > 1 {
                array.push(b',');
            }
            array.extend_from_slice(&item);
        }
        array.push(b']');
        Ok(Some(array))
    }

    /// Converts a failure into the last chunk of a stream that has begun. Text and bytes break off
    /// instead.
    fn last_words(&self, failure: HttpError) -> Result<Bytes, Broken> {
        let mut json = self.format.to_json(&failure.of_request(&self.id, false));
        match self.framing {
            Framing::Events => Ok(event(Some("error"), &String::from_utf8_lossy(&json))),
            Framing::Lines => {
                json.push(b'\n');
                Ok(json.into())
            }
            Framing::List | Framing::Text | Framing::Raw => Err(Broken),
        }
    }
}

impl<M: Streaming> Stream for Framed<M>
where
    M::Ok: Serialize,
{
    type Item = Result<Bytes, Broken>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let Some(item) = ready!(self.items.poll_next_unpin(cx)) else {
            self.ended = true;
            return Poll::Ready(None);
        };
        Poll::Ready(Some(match self.frame(item) {
            Ok(chunk) => Ok(chunk),
            Err(failure) => {
                self.ended = true;
                self.items.cancel();
                self.last_words(failure)
            }
        }))
    }
}

/// A stream of server-sent events with a comment for each interval in which there is no event:
/// proxies close connections on which nothing is sent.
struct Heartbeat<S> {
    events: S,
    interval: Duration,
    /// The timer of the next comment. It begins with the first event that has to be waited for.
    next: Option<Pin<Box<Sleep>>>,
}

impl<S> Heartbeat<S> {
    fn new(events: S, interval: Duration) -> Self {
        Self { events, interval, next: None }
    }
}

impl<S: Stream<Item = Result<Bytes, Broken>> + Unpin> Stream for Heartbeat<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = &mut *self;
        if let Poll::Ready(event) = this.events.poll_next_unpin(cx) {
            this.next = None;
            return Poll::Ready(event);
        }
        let next = this.next.get_or_insert_with(|| Box::pin(sleep(this.interval)));
        ready!(next.as_mut().poll(cx));
        this.next = None;
        Poll::Ready(Some(Ok(Bytes::from_static(b": heartbeat\n\n"))))
    }
}
