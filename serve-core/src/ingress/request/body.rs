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
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::application::HttpSettings;
use crate::ingress::response::grpc;
use crate::ingress::response::http_error::HttpError;

/// The time for which a body may arrive at any rate, as in Apache httpd (`RequestReadTimeout`): a
/// connection that was just opened may be slow.
const GRACE: Duration = Duration::from_secs(20);

/// The time that the body of a request is waited for. Only waiting counts: a body that nobody reads
/// may rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The longest pause; zero for no limit.
    pause: Duration,
    /// The least bytes a second, after [`GRACE`]; zero for no limit.
    rate: u64,
    waited: Duration,
    received: u64,
}

/// The body of a request that arrives too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooSlow {
    #[error("no part of the body arrived for {} s", .0.as_secs())]
    Paused(Duration),
    #[error("the body arrived at less than {0} bytes a second")]
    Trickles(u64),
}

impl Patience {
    pub(crate) fn new(settings: &HttpSettings) -> Self {
        let (pause, rate) = (settings.body_timeout, settings.min_body_rate);
        Self { pause, rate, waited: Duration::ZERO, received: 0 }
    }

    /// Returns the time for which the next part may be waited for, and the fault if it does not
    /// arrive within that time. `None` if there is no limit.
    fn limit(&self) -> Option<(Duration, TooSlow)> {
        let pause = (!self.pause.is_zero()).then_some((self.pause, TooSlow::Paused(self.pause)));
        let allowed = GRACE.as_secs_f64() + self.received as f64 / self.rate as f64;
        let left = (allowed - self.waited.as_secs_f64()).max(0.0);
        let rate = Duration::try_from_secs_f64(left).ok().filter(|_| self.rate > 0);
        let rate = rate.map(|left| (left, TooSlow::Trickles(self.rate)));
        pause.into_iter().chain(rate).min_by_key(|(limit, _)| *limit)
    }

    fn arrived(&mut self, frame: Option<&Frame<Bytes>>, waited: Duration) {
        self.waited += waited;
        self.received += frame.and_then(Frame::data_ref).map_or(0, |data| data.len() as u64);
    }
}

/// Reads the whole body, if the body has at most `limit` bytes. A body that arrives in one piece is
/// not copied.
pub(crate) async fn collect(
    mut body: Body,
    limit: usize,
    mut patience: Patience,
) -> Result<Bytes, HttpError> {
    if body.size_hint().lower() > limit as u64 {
        return Err(HttpError::too_large(limit));
    }
    let mut whole = Bytes::new();
    let mut pieces = BytesMut::new();
    while let Some(frame) = next(&mut body, &mut patience).await? {
        let frame = frame.map_err(|_| HttpError::broken_body())?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + pieces.len() + data.len() > limit {
            return Err(HttpError::too_large(limit));
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

async fn next(
    body: &mut Body,
    patience: &mut Patience,
) -> Result<Option<Result<Frame<Bytes>, axum::Error>>, HttpError> {
    // Most bodies are already complete, and need no timer.
    if let Some(frame) = body.frame().now_or_never() {
        patience.arrived(frame.as_ref().and_then(|frame| frame.as_ref().ok()), Duration::ZERO);
        return Ok(frame);
    }
    let began = Instant::now();
    let frame = match patience.limit() {
        None => body.frame().await,
        Some((limit, fault)) => {
            timeout(limit, body.frame()).await.map_err(|_| HttpError::too_slow(fault))?
        }
    };
    patience.arrived(frame.as_ref().and_then(|frame| frame.as_ref().ok()), began.elapsed());
    Ok(frame)
}

/// Wraps the body for a custom router: the body fails if it arrives too slowly.
///
/// A gRPC body is not wrapped, because its streams may rest; over HTTP/2, the proxy's pings find
/// out whether the client is there.
pub(crate) fn hurried(headers: &HeaderMap, body: Body, patience: Patience) -> Body {
    if grpc::content_type(headers).is_some() || body.is_end_stream() {
        return body;
    }
    Body::new(HurriedBody { body, patience, wait: None })
}

/// A body that fails if it arrives too slowly.
struct HurriedBody {
    body: Body,
    patience: Patience,
    wait: Option<Wait>,
}

/// The wait for the next frame of a body.
struct Wait {
    began: Instant,
    /// The timer that ends the wait, if there is a limit, and the fault that this is.
    limit: Option<(Pin<Box<Sleep>>, TooSlow)>,
}

impl HttpBody for HurriedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(frame) = frame {
            let waited = self.wait.take().map_or(Duration::ZERO, |wait| wait.began.elapsed());
            self.patience.arrived(frame.as_ref().and_then(|frame| frame.as_ref().ok()), waited);
            return Poll::Ready(frame);
        }
        let patience = self.patience;
        let wait = self.wait.get_or_insert_with(|| {
            let limit = patience.limit().map(|(limit, fault)| (Box::pin(sleep(limit)), fault));
            Wait { began: Instant::now(), limit }
        });
        let Some((timer, fault)) = &mut wait.limit else { return Poll::Pending };
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(axum::Error::new(*fault))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Checks that the body is sent as JSON: `application/json`, `+json`, or without a content type.
pub(crate) fn check_json(headers: &HeaderMap) -> Result<(), HttpError> {
    match headers.get(CONTENT_TYPE) {
        Some(content_type) if !is_json(content_type) => {
            Err(HttpError::wrong_content_type(Some(content_type), "application/json"))
        }
        _ => Ok(()),
    }
}

/// Checks that the body is sent as an HTML form sends it without files. Only an empty body may be sent
/// without a content type.
pub(crate) fn check_form(headers: &HeaderMap, is_empty: bool) -> Result<(), HttpError> {
    const FORM: &str = "application/x-www-form-urlencoded";
    match headers.get(CONTENT_TYPE) {
        None if is_empty => Ok(()),
        Some(content_type)
            if essence(content_type).is_some_and(|it| it.eq_ignore_ascii_case(FORM)) =>
        {
            Ok(())
        }
        other => Err(HttpError::wrong_content_type(other, FORM)),
    }
}

/// True if the headers declare a JSON body.
pub(crate) fn is_sent_as_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(is_json)
}

fn is_json(content_type: &HeaderValue) -> bool {
    let Some(essence) = essence(content_type) else { return false };
    let ends_with_json = || {
        essence.len() > 5 && essence.as_bytes()[essence.len() - 5..].eq_ignore_ascii_case(b"+json")
    };
    essence.eq_ignore_ascii_case("application/json") || ends_with_json()
}

/// Returns a content type without its parameters.
fn essence(content_type: &HeaderValue) -> Option<&str> {
    let content_type = content_type.to_str().ok()?;
    Some(content_type.split_once(';').map_or(content_type, |(essence, _)| essence).trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{StreamExt, stream};
    use http::StatusCode;

    fn patience(pause: u64, rate: u64) -> Patience {
        let pause = Duration::from_secs(pause);
        Patience { pause, rate, waited: Duration::ZERO, received: 0 }
    }

    fn slowly(bytes: usize, times: usize) -> Body {
        let piece = move |_| async move {
            sleep(Duration::from_secs(1)).await;
            Ok::<_, std::io::Error>(vec![b'x'; bytes])
        };
        Body::from_stream(stream::iter(0..times).then(piece))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_must_arrive_at_its_least_rate() {
        let whole = collect(slowly(500, 100), 1 << 20, patience(60, 500)).await.unwrap();
        assert_eq!(whole.len(), 50_000);
        let began = Instant::now();
        let trickles = collect(slowly(1, 100), 1 << 20, patience(60, 500)).await.unwrap_err();
        assert_eq!(trickles.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(began.elapsed().as_secs(), 20, "twenty bytes buy no second");
        let mut hurried = hurried(&HeaderMap::new(), slowly(1, 100), patience(60, 500));
        let began = Instant::now();
        while hurried.frame().await.unwrap().is_ok() {}
        assert_eq!(began.elapsed().as_secs(), 20);
        // A reader that takes its time is not the client's fault.
        let mut read = super::hurried(&HeaderMap::new(), slowly(500, 3), patience(60, 500));
        sleep(Duration::from_secs(3600)).await;
        while let Some(frame) = read.frame().await {
            frame.unwrap();
            sleep(Duration::from_secs(3600)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_of_zero_is_none() {
        let stops = stream::iter([Ok::<_, std::io::Error>("a")]).chain(stream::pending());
        let reading = collect(Body::from_stream(stops), 9, patience(0, 0));
        assert!(timeout(Duration::from_secs(100_000), reading).await.is_err());
    }

    fn collected(pieces: &'static [&'static str], limit: usize) -> Result<Bytes, StatusCode> {
        let body =
            Body::from_stream(stream::iter(pieces).map(|piece| Ok::<_, std::io::Error>(*piece)));
        collect(body, limit, patience(60, 0))
            .now_or_never()
            .unwrap()
            .map_err(|rejection| rejection.status())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_come_slowly_but_not_stop() {
        let began = Instant::now();
        let pieces = stream::iter(1..=4).then(|piece| async move {
            sleep(Duration::from_secs(50)).await;
            Ok::<_, std::io::Error>(piece.to_string())
        });
        assert_eq!(collect(Body::from_stream(pieces), 9, patience(60, 0)).await.unwrap(), "1234");
        assert_eq!(began.elapsed(), Duration::from_secs(200));
        let stops = stream::iter([Ok::<_, std::io::Error>("a")]).chain(stream::pending());
        let given_up = collect(Body::from_stream(stops), 9, patience(60, 0)).await.unwrap_err();
        assert_eq!(given_up.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(began.elapsed(), Duration::from_secs(260));
    }

    #[test]
    fn a_body_up_to_the_limit_is_taken_whole() {
        assert_eq!(collected(&[], 0).unwrap(), "");
        assert_eq!(collected(&["abc"], 3).unwrap(), "abc");
        assert_eq!(collected(&["ab", "", "c", "d"], 4).unwrap(), "abcd");
        assert_eq!(collected(&["ab", "cd"], 3), Err(StatusCode::PAYLOAD_TOO_LARGE));
        let declared = collect(Body::from("abcd"), 3, patience(60, 0)).now_or_never().unwrap();
        assert_eq!(declared.unwrap_err().status(), StatusCode::PAYLOAD_TOO_LARGE);
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
