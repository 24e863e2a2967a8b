//! The answer to bytes that are no HTTP/1 request.
//!
//! hyper's parser answers such bytes itself, with a head and no body, and offers no way to change
//! the answer: the service sees no request. The answer can only be recognised among the bytes that
//! hyper writes, and is completed there: with an id, and with a sentence as the body.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use crate::ingress::response::error_format::ErrorFormat;
use crate::ingress::response::http_error::HttpError;

/// The header by which a head without a body is recognised.
const NO_BODY: &str = "content-length: 0\r\n";

/// Returns the status of the head that hyper's parser gives to bytes that are no request, if
/// `written` is such a head and nothing more. The caller knows that no request waits for an answer.
pub(crate) fn status_of(written: &[u8]) -> Option<StatusCode> {
    let head = std::str::from_utf8(written).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    // One head: its first empty line is its end.
    let whole = head.find("\r\n\r\n")? + 4 == head.len() && head.contains(NO_BODY);
    let status: u16 = status.parse().ok().filter(|_| whole)?;
    matches!(status, 400 | 414 | 431).then(|| StatusCode::from_u16(status).ok())?
}

/// Returns a head that [`status_of`] knows, with an id and with a body that says what is wrong.
pub(crate) fn completed(
    written: &[u8],
    status: StatusCode,
    request_id: &Arc<str>,
    format: ErrorFormat,
) -> Bytes {
    let head = String::from_utf8_lossy(written);
    let error = HttpError::of_status(status, sentence(status)).with_code(code(status));
    let (content_type, _) = format.described();
    let body = format.to_json(&error.of_request(request_id, false));
    let close = if head.contains("connection: close") { "" } else { "connection: close\r\n" };
    let fields = format!(
        "{close}content-type: {content_type}\r\ncontent-length: {}\r\nx-request-id: \
         {request_id}\r\n",
        body.len()
    );
    let mut whole = head.replacen(NO_BODY, &fields, 1).into_bytes();
    whole.extend_from_slice(&body);
    whole.into()
}

/// The sentence for a status that the parser answered by itself. The numbers are hyper's: `MAX_URI_LEN`, `DEFAULT_MAX_BUFFER_SIZE` and
/// `DEFAULT_MAX_HEADERS`.
fn sentence(status: StatusCode) -> &'static str {
    match status {
        StatusCode::URI_TOO_LONG => "the path and the query are longer than 65534 bytes",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            "the head of the request has more than 100 headers, or more than 417792 bytes"
        }
        _ => "this is not a request of HTTP/1.1 or HTTP/2",
    }
}

fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::URI_TOO_LONG => "uri_too_long",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "head_too_large",
        _ => "invalid_request",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::{HttpOptions, HttpSettings};

    const HEAD: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\ndate: now\r\n\r\n";

    #[test]
    fn only_a_bare_head_of_the_parser_is_known() {
        assert_eq!(status_of(HEAD), Some(StatusCode::BAD_REQUEST));
        for other in [
            "",
            "HTTP/1.1",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "x HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
        ] {
            assert_eq!(status_of(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn the_head_is_completed() {
        let format = ErrorFormat::of(&HttpSettings::of(&HttpOptions::new()));
        let whole = completed(HEAD, StatusCode::BAD_REQUEST, &Arc::from("r1"), format);
        let whole = std::str::from_utf8(&whole).unwrap();
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        assert!(head.contains("x-request-id: r1\r\n") && head.contains("connection: close\r\n"));
        assert!(head.ends_with("date: now"), "{head}");
        assert!(body.contains("\"status\":400"), "{body}");
    }
}
