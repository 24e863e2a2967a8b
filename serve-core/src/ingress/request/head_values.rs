//! The values of parameters in the head of a request: in its headers and its cookies.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::ingress::response::http_error::HttpError;

/// Returns the values of a header, in order.
pub(crate) fn header(headers: &HeaderMap, name: &str) -> Result<Vec<String>, HttpError> {
    headers.get_all(name).iter().map(|value| text(value, "header", name)).collect()
}

/// Returns the values of a cookie, in order.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Result<Vec<String>, HttpError> {
    let mut values = Vec::new();
    for header in headers.get_all(COOKIE) {
        let header = text(header, "cookie", name)?;
        let pairs = header.split(';').filter_map(|pair| pair.trim().split_once('='));
        values.extend(pairs.filter(|(key, _)| *key == name).map(|(_, value)| decoded(value)));
    }
    Ok(values)
}

/// Decodes the value of a cookie, which may be in quotes, and percent-encoded.
fn decoded(value: &str) -> String {
    let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    // A value that is not percent-encoded UTF-8 is taken as it is.
    percent_decode_str(bare).decode_utf8().map_or_else(|_| bare.to_owned(), Into::into)
}

fn text(value: &HeaderValue, place: &'static str, name: &str) -> Result<String, HttpError> {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(HttpError::unfit(place, name.to_owned(), "invalid value, expected UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(value: &'static str) -> Vec<String> {
        let headers = [(COOKIE, HeaderValue::from_static(value))].into_iter().collect();
        cookie(&headers, "id").unwrap()
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        assert_eq!(cookies("a=1; id=7; myid=8"), ["7"]);
        assert_eq!(cookies("id=7;id=8"), ["7", "8"]);
        assert_eq!(cookies("ID=7; id; =id"), Vec::<String>::new());
    }

    #[test]
    fn values_of_cookies_are_decoded() {
        assert_eq!(cookies("id=\"a b\""), ["a b"]);
        assert_eq!(cookies("id=a%20%C3%A4=b"), ["a ä=b"]);
        assert_eq!(cookies("id=%FF"), ["%FF"]);
        assert_eq!(cookies("id=\""), ["\""]);
        assert_eq!(cookies("id="), [""]);
    }
}
