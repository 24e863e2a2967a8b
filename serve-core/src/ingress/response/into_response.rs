//! Converts a result into a response: text as text, bytes as bytes, nothing as an empty body,
//! everything else as JSON. The type decides, not a trait, so that nothing has to be implemented.

use std::fmt;

use axum::body::Body;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::error::same;
use crate::ingress::response::chunk::{chunk, chunk_of_event};
use crate::ingress::response::event::Event;
use crate::ingress::response::framing::Framing;
use crate::ingress::response::json;
use crate::ingress::response::reply::{Reply, Unsendable};
use crate::ingress::response::result_kind::ResultKind;

/// The mark of a response whose body is produced piece by piece, even if its length is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InPieces;

/// The way in which the result of an endpoint becomes a response.
pub struct EndpointResult<T> {
    pub(crate) kind: ResultKind,
    pub(crate) answer: fn(T) -> Result<Response<Body>, Unsendable>,
    /// Encodes an item of a stream.
    pub(crate) chunk: fn(T, Framing) -> Result<Bytes, Unsendable>,
}

impl<T> Clone for EndpointResult<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for EndpointResult<T> {}

impl<T> fmt::Debug for EndpointResult<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointResult").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<T: Serialize + 'static> EndpointResult<T> {
    /// Sends the value alone.
    #[must_use]
    pub fn value() -> Self {
        Self { kind: ResultKind::of::<T>(), answer: answer::<T>, chunk: chunk::<T> }
    }
}

impl<T: Serialize + 'static> EndpointResult<Reply<T>> {
    /// Sends the value with the status and the headers of the reply.
    #[must_use]
    pub fn reply() -> Self {
        let chunk = |reply: Reply<T>, framing| chunk(reply.into_value(), framing);
        Self { kind: ResultKind::of::<T>(), answer: answer_reply::<T>, chunk }
    }
}

impl<T: Serialize + 'static> EndpointResult<Event<T>> {
    /// Sends the data, with the id, the name and the reconnection time where the format has them.
    #[must_use]
    pub fn event() -> Self {
        let answer = |event: Event<T>| answer(event.data);
        Self { kind: ResultKind::of::<T>(), answer, chunk: chunk_of_event::<T> }
    }
}

fn answer_reply<T: Serialize + 'static>(reply: Reply<T>) -> Result<Response<Body>, Unsendable> {
    let (value, status, headers) = reply.into_parts()?;
    let mut response = answer(value)?;
    if let Some(status) = status {
        set_status(&mut response, status);
        response.extensions_mut().insert(OwnStatus);
    }
    if headers.contains_key(CONTENT_TYPE) {
        response.headers_mut().remove(CONTENT_TYPE);
    }
    // `extend` would replace earlier values of a name.
    let mut last = None;
    for (name, value) in headers {
        last = name.or(last);
        if let Some(name) = &last {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}

/// The mark of a response whose status is not that of its endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnStatus;

/// Sets the status of a result. Some statuses have no body.
pub(crate) fn set_status(response: &mut Response<Body>, status: StatusCode) {
    *response.status_mut() = status;
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED];
    if bodiless.contains(&status) {
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(CONTENT_TYPE);
    }
}

/// Creates the response for a value.
///
/// # Errors
/// Returns the error of serde, if the value cannot be JSON.
pub(crate) fn answer<T: Serialize + 'static>(value: T) -> Result<Response<Body>, Unsendable> {
    let kind = ResultKind::of::<T>();
    let body = match kind {
        ResultKind::Text => same::<T, String>(value).map(Body::from).ok(),
        ResultKind::Raw => same::<T, Bytes>(value).map(Body::from).ok(),
        ResultKind::Empty => None,
        ResultKind::Json => Some(Body::from(json::to_vec(&value)?)),
    };
    let mut response = Response::new(body.unwrap_or_default());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind.content_type()));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use serde_json::{Value, json};

    fn sent<T: Serialize + 'static>(value: T) -> Value {
        let (head, body) = answer(value).unwrap().into_parts();
        let headers: Vec<_> = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
            .collect();
        let body = axum::body::to_bytes(body, usize::MAX).now_or_never().unwrap().unwrap();
        json!([head.status.as_u16(), headers, std::str::from_utf8(&body).unwrap()])
    }

    /// `response_conversion.json` of the conformance vectors, each Python value as the
    /// Rust value that stands for it.
    #[test]
    fn results_are_sent_as_ray_serve_sends_them() {
        let rows: Vec<Vec<Value>> =
            serde_json::from_str(include_str!("../../../tests/vectors/response_conversion.json"))
                .unwrap();
        for row in rows {
            let sent = match row[0].as_str().unwrap() {
                "None" => sent(()),
                "'hi'" => sent("hi".to_owned()),
                "1" => sent(1),
                "True" => sent(true),
                "{'a': {'b': [1, None]}}" => sent(json!({"a": {"b": [1, null]}})),
                "{1}" => sent(std::collections::BTreeSet::from([1])),
                other => panic!("no Rust value is known for {other}"),
            };
            assert_eq!(sent, json!(row[1..]), "{}", row[0]);
        }
    }

    #[test]
    fn bytes_are_sent_as_they_are() {
        assert_eq!(
            sent(Bytes::from_static(b"raw")),
            json!([200, [["content-type", "application/octet-stream"]], "raw"])
        );
    }
}
