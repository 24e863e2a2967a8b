//! Reads the body of a request, up to the limit of its endpoint.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep, timeout};

use crate::ingress::response::rejection::Rejection;

/// The longest pause of a request's body. A client that sends nothing for this time is given up, as
/// in nginx (`client_body_timeout`): it would hold its memory and its connection forever.
const PAUSE: Duration = Duration::from_secs(60);

/// Reads the whole body, if the body has at most `limit` bytes. A body that arrives in one piece is
/// not copied.
pub(crate) async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Rejection> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Rejection::too_large(limit));
    }
    let mut whole = Bytes::new();
    let mut pieces = BytesMut::new();
    while let Some(frame) = next(&mut body).await? {
        let frame = frame.map_err(|_| Rejection::broken_body())?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + pieces.len() + data.len() > limit {
            return Err(Rejection::too_large(limit));
        }
        if whole.is_empty() && pieces.is_empty() {
            whole = data;
        } else {
            if pieces.is_empty() {
                pieces.extend_from_slice(&std::mem::take(&mut whole));
            }
            pieces.extend_from_slice(&data);
        }
    }
    Ok(if pieces.is_empty() { whole } else { pieces.freeze() })
}

async fn next(body: &mut Body) -> Result<Option<Result<Frame<Bytes>, axum::Error>>, Rejection> {
    // Most bodies are already complete, and need no timer.
    match body.frame().now_or_never() {
        Some(frame) => Ok(frame),
        None => timeout(PAUSE, body.frame()).await.map_err(|_| Rejection::paused_body(PAUSE)),
    }
}

/// Wraps the body for a custom router: the body fails if nothing of it arrives for too long.
///
/// A gRPC body is not wrapped, because its streams may rest; over HTTP/2, the proxy's pings find
/// out whether the client is there.
pub(crate) fn without_long_pauses(headers: &HeaderMap, body: Body) -> Body {
    let grpc = headers
        .get(CONTENT_TYPE)
        .is_some_and(|content_type| content_type.as_bytes().starts_with(b"application/grpc"));
    if grpc || body.is_end_stream() { body } else { Body::new(HurriedBody { body, pause: None }) }
}

/// A body that fails if nothing of it arrives for too long.
struct HurriedBody {
    body: Body,
    /// The timer that runs while the next frame is awaited.
    pause: Option<Pin<Box<Sleep>>>,
}

/// The error of a body of which nothing more arrived.
#[derive(Debug, thiserror::Error)]
#[error("no part of the body arrived for {} s", PAUSE.as_secs())]
struct Paused;

impl HttpBody for HurriedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() {
            self.pause = None;
            return frame;
        }
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(PAUSE)));
        ready!(pause.as_mut().poll(cx));
        Poll::Ready(Some(Err(axum::Error::new(Paused))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Checks that the body is sent as JSON: `application/json`, `+json`, or without a content type.
pub(crate) fn check_json(headers: &HeaderMap) -> Result<(), Rejection> {
    match headers.get(CONTENT_TYPE) {
        Some(content_type) if !is_json(content_type) => {
            Err(Rejection::not_sent_as_json(content_type))
        }
        _ => Ok(()),
    }
}

/// True if the headers declare a JSON body.
pub(crate) fn is_sent_as_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(is_json)
}

fn is_json(content_type: &HeaderValue) -> bool {
    let Ok(content_type) = content_type.to_str() else { return false };
    let essence = content_type.split_once(';').map_or(content_type, |(essence, _)| essence).trim();
    let ends_with_json = || {
        essence.len() > 5 && essence.as_bytes()[essence.len() - 5..].eq_ignore_ascii_case(b"+json")
    };
    essence.eq_ignore_ascii_case("application/json") || ends_with_json()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{StreamExt, stream};
    use http::StatusCode;
    use tokio::time::Instant;

    fn collected(pieces: &'static [&'static str], limit: usize) -> Result<Bytes, StatusCode> {
        let body =
            Body::from_stream(stream::iter(pieces).map(|piece| Ok::<_, std::io::Error>(*piece)));
        collect(body, limit).now_or_never().unwrap().map_err(|rejection| rejection.status)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_come_slowly_but_not_stop() {
        let began = Instant::now();
        let pieces = stream::iter(1..=4).then(|piece| async move {
            sleep(Duration::from_secs(50)).await;
            Ok::<_, std::io::Error>(piece.to_string())
        });
        assert_eq!(collect(Body::from_stream(pieces), 9).await.unwrap(), "1234");
        assert_eq!(began.elapsed(), Duration::from_secs(200));
        let stops = stream::iter([Ok::<_, std::io::Error>("a")]).chain(stream::pending());
        let given_up = collect(Body::from_stream(stops), 9).await.unwrap_err();
        assert_eq!(given_up.status, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(began.elapsed(), Duration::from_secs(260));
    }

    #[test]
    fn a_body_up_to_the_limit_is_taken_whole() {
        assert_eq!(collected(&[], 0).unwrap(), "");
        assert_eq!(collected(&["abc"], 3).unwrap(), "abc");
        assert_eq!(collected(&["ab", "", "c", "d"], 4).unwrap(), "abcd");
        assert_eq!(collected(&["ab", "cd"], 3), Err(StatusCode::PAYLOAD_TOO_LARGE));
        let declared = collect(Body::from("abcd"), 3).now_or_never().unwrap();
        assert_eq!(declared.unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn json_comes_under_its_own_types_or_none() {
        let check = |content_type| {
            check_json(
                &[(CONTENT_TYPE, HeaderValue::from_static(content_type))].into_iter().collect(),
            )
            .is_ok()
        };
        assert!(check("application/json"));
        assert!(check("Application/JSON; charset=utf-8"));
        assert!(check("application/vnd.api+json"));
        assert!(!check("text/plain"));
        assert!(!check("application/x-www-form-urlencoded"));
        assert!(check_json(&HeaderMap::new()).is_ok());
    }
}
