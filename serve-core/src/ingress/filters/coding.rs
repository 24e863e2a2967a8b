//! [`Coding`]: the compression of an answer, by the header `Accept-Encoding` of its request.

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use crate::ingress::response::error_format::qualities;

/// A way in which an answer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Gzip,
}

impl Coding {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// Returns the coding that the client prefers; among equals, the one that compresses better.
    pub(crate) fn wanted(headers: &HeaderMap) -> Option<Self> {
        let (mut brotli, mut gzip, mut other) = (None, None, 0.0);
        for value in headers.get_all(ACCEPT_ENCODING).iter().filter_map(|it| it.to_str().ok()) {
            for (name, quality) in qualities(value) {
                match name {
                    "br" => brotli = Some(quality),
                    "gzip" | "x-gzip" => gzip = Some(quality),
                    "*" => other = quality,
                    _ => {}
                }
            }
        }
        let (brotli, gzip) = (brotli.unwrap_or(other), gzip.unwrap_or(other));
        match (brotli >= gzip, brotli.max(gzip) > 0.0) {
            (_, false) => None,
            (true, _) => Some(Self::Brotli),
            (false, _) => Some(Self::Gzip),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn wanted(accept: &'static str) -> Option<&'static str> {
        let headers = [(ACCEPT_ENCODING, HeaderValue::from_static(accept))].into_iter().collect();
        Coding::wanted(&headers).map(Coding::name)
    }

    #[test]
    fn the_client_decides() {
        assert_eq!(wanted("gzip, deflate, br, zstd"), Some("br"));
        assert_eq!(wanted("gzip"), Some("gzip"));
        assert_eq!(wanted("gzip;q=1.0, br;q=0.5"), Some("gzip"));
        assert_eq!(wanted("*"), Some("br"));
        assert_eq!(wanted("*, br;q=0"), Some("gzip"));
        assert_eq!(wanted("gzip;q=0, br;q=0"), None);
        for none in ["", "identity", "deflate", "zstd", "*;q=0", "gzip;q=x"] {
            assert_eq!(wanted(none), None, "{none}");
        }
    }
}
