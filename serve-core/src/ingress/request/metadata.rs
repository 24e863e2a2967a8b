//! `Metadata`: the data in the head of a request beside the arguments: its id, its deadline, its
//! model, its session, its trace, and the form of errors that its client reads.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use crate::ingress::response::error_format::prefers_text;
use crate::ingress::response::grpc;

/// The length of the longest id that is accepted: a longer id would go into every log line.
const MAX_ID: usize = 128;

/// The values of the known headers of one request. They are borrowed; most requests have none.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Metadata<'a> {
    /// `X-Request-ID`, if it is short enough and printable.
    pub(crate) request_id: Option<&'a str>,
    /// `X-Request-Timeout-Seconds`, if it is above zero, or `grpc-timeout`: the shorter of both.
    pub(crate) timeout: Option<Duration>,
    /// `serve_multiplexed_model_id`.
    pub(crate) multiplexed_model_id: Option<&'a str>,
    /// `serve_session_id`.
    pub(crate) session_id: Option<&'a str>,
    /// `traceparent` of W3C Trace Context.
    pub(crate) trace: Option<&'a str>,
    /// True if `Accept` prefers text to JSON.
    pub(crate) prefers_text: bool,
    /// The content type of a gRPC request.
    pub(crate) grpc: Option<&'a HeaderValue>,
}

impl<'a> Metadata<'a> {
    /// Reads the headers in one pass. Names are distinguished by their length first, so that the
    /// usual headers cost nothing.
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let mut found = Self::default();
        let sooner = |known: Option<Duration>, timeout: Option<Duration>| {
            known.into_iter().chain(timeout).min()
        };
        for (name, value) in headers {
            let name = name.as_str();
            match name.len() {
                6 if name == "accept" => found.prefers_text = prefers_text(value),
                12 if name == "x-request-id" => found.request_id = id(value),
                12 if name == "content-type" => {
                    found.grpc = Some(value).filter(|value| grpc::is_grpc(value));
                }
                12 if name == "grpc-timeout" => {
                    let timeout = value.to_str().ok().and_then(grpc_timeout);
                    found.timeout = sooner(found.timeout, timeout);
                }
                25 if name == "x-request-timeout-seconds" => {
                    let timeout = value.to_str().ok().and_then(timeout);
                    found.timeout = sooner(found.timeout, timeout);
                }
                26 if spelled(name, "serve-multiplexed-model-id") => {
                    found.multiplexed_model_id = text(value);
                }
                16 if spelled(name, "serve-session-id") => found.session_id = text(value),
                11 if name == "traceparent" => found.trace = text(value),
                _ => {}
            }
        }
        found
    }
}

/// True if the name of a header is `wanted`, spelled with `-` or `_`: proxies drop names with
/// underscores. The name is already in lower case.
fn spelled(name: &str, wanted: &str) -> bool {
    name.bytes()
        .zip(wanted.bytes())
        .all(|(is, wanted)| is == wanted || (is == b'_' && wanted == b'-'))
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().filter(|text| !text.is_empty())
}

fn id(value: &HeaderValue) -> Option<&str> {
    text(value).filter(|id| id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// Parses seconds as Ray Serve does: a number above zero, or else there is no timeout. A number
/// that is too large for a clock means no timeout, too.
fn timeout(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    if seconds > 0.0 { Duration::try_from_secs_f64(seconds).ok() } else { None }
}

/// Parses the timeout of a gRPC call: at most eight digits and a unit. Zero is a deadline that has
/// passed.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    /// `timeout_header.json` of the conformance vectors.
    #[test]
    fn timeouts_are_read_as_ray_serve_reads_them() {
        // JSON has no infinity, but the file does; here, infinity means no timeout.
        let text = include_str!("../../../tests/vectors/timeout_header.json");
        let rows: Vec<(Option<String>, Option<f64>, Option<f64>)> =
            serde_json::from_str(&text.replace("Infinity", "null")).unwrap();
        for (header, default, expected) in rows {
            assert_eq!(default, None);
            let read = header.as_deref().and_then(timeout).map(|read| read.as_secs_f64());
            assert_eq!(read, expected, "{header:?}");
        }
    }

    #[test]
    fn a_timeout_of_grpc_is_read_and_the_earlier_deadline_counts() {
        for (text, nanos) in [
            ("1H", Some(3_600_000_000_000_u128)),
            ("2M", Some(120_000_000_000)),
            ("3S", Some(3_000_000_000)),
            ("40m", Some(40_000_000)),
            ("5u", Some(5_000)),
            ("99999999n", Some(99_999_999)),
            ("0S", Some(0)),
            ("100000000n", None),
            ("", None),
            ("S", None),
            ("1", None),
            ("1x", None),
            ("-1S", None),
            ("+1S", None),
            ("1.5S", None),
            ("1ü", None),
        ] {
            assert_eq!(grpc_timeout(text).map(|read| read.as_nanos()), nanos, "{text}");
        }
        for (grpc, own, expected) in
            [("2S", "3", Some(2)), ("3S", "2", Some(2)), ("3S", "-1", Some(3)), ("x", "2", Some(2))]
        {
            let headers = headers(&[("grpc-timeout", grpc), ("x-request-timeout-seconds", own)]);
            let read = Metadata::of(&headers).timeout.map(|read| read.as_secs());
            assert_eq!(read, expected, "{grpc} {own}");
        }
    }

    #[test]
    fn session_and_model_are_found_however_they_are_spelled() {
        for name in ["serve_session_id", "Serve-Session-Id", "SERVE_SESSION-ID"] {
            let headers = headers(&[(name, "dora")]);
            assert_eq!(Metadata::of(&headers).session_id, Some("dora"), "{name}");
        }
        let headers = headers(&[("serve_multiplexed_model_id", "m1"), ("serveXsession-id", "no")]);
        let metadata = Metadata::of(&headers);
        assert_eq!(metadata.multiplexed_model_id, Some("m1"));
        assert_eq!(metadata.session_id, None);
    }

    #[test]
    fn an_id_that_is_too_long_or_not_printable_is_not_taken() {
        assert_eq!(Metadata::of(&headers(&[("x-request-id", "a-1")])).request_id, Some("a-1"));
        assert_eq!(Metadata::of(&headers(&[("x-request-id", "")])).request_id, None);
        assert_eq!(Metadata::of(&headers(&[("x-request-id", "a b")])).request_id, None);
        let long: &'static str = Box::leak("x".repeat(MAX_ID + 1).into_boxed_str());
        assert_eq!(Metadata::of(&headers(&[("x-request-id", long)])).request_id, None);
    }
}
