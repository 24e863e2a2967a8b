//! [`Coding`]: the compression of a request's body, by its header `Content-Encoding`.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use crate::ingress::response::http_error::HttpError;

/// A way in which a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "compression"), expect(dead_code, reason = "no coding is known then"))]
pub(crate) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

#[cfg(feature = "compression")]
const KNOWN: &[(&str, Coding)] = &[
    ("gzip", Coding::Gzip),
    ("x-gzip", Coding::Gzip),
    ("deflate", Coding::Deflate),
    ("br", Coding::Brotli),
    ("zstd", Coding::Zstd),
];
#[cfg(not(feature = "compression"))]
const KNOWN: &[(&str, Coding)] = &[];

/// The codings that are accepted, for the header `Accept-Encoding` of the refusal of others.
const ACCEPTED: &str = if KNOWN.is_empty() { "" } else { "gzip, deflate, br, zstd" };

impl Coding {
    /// Returns the compression that the headers declare.
    ///
    /// # Errors
    /// Returns 415 for an unknown coding, and for several at once.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, HttpError> {
        let mut found = None;
        for value in headers.get_all(CONTENT_ENCODING) {
            let text = String::from_utf8_lossy(value.as_bytes());
            for name in text.split(',').map(str::trim) {
                if name.is_empty() || name.eq_ignore_ascii_case("identity") {
                    continue;
                }
                let known = KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                match known {
                    Some((_, coding)) if found.is_none() => found = Some(*coding),
                    _ => return Err(HttpError::wrong_coding(&text, ACCEPTED)),
                }
            }
        }
        Ok(found)
    }

    /// Decompresses a body to at most `limit` bytes.
    ///
    /// # Errors
    /// Returns 413 for a body that is larger, and 400 for a body that is not compressed in this way.
    #[cfg(feature = "compression")]
    pub(crate) async fn decode(self, body: Bytes, limit: usize) -> Result<Bytes, HttpError> {
        use std::io::Read;

        let invalid = |error: std::io::Error| {
            let name = KNOWN.iter().find(|(_, coding)| *coding == self).map_or("", |known| known.0);
            HttpError::bad_body(format!("the body is not valid {name}: {error}"))
        };
        let mut reader = self.reader(body).map_err(invalid)?;
        let mut decoded = Vec::new();
        let mut piece = vec![0; PIECE];
        let mut until_pause = PAUSE;
        loop {
            let read = reader.read(&mut piece).map_err(invalid)?;
            if read == 0 {
                return Ok(decoded.into());
            }
            if decoded.len() + read > limit {
                return Err(HttpError::too_large(limit));
            }
            decoded.extend_from_slice(&piece[..read]);
            until_pause -= read.min(until_pause);
            if until_pause == 0 {
                until_pause = PAUSE;
                tokio::task::yield_now().await;
            }
        }
    }

    #[cfg(feature = "compression")]
    fn reader(self, body: Bytes) -> std::io::Result<Box<dyn std::io::Read + Send>> {
        use bytes::Buf;
        use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(body.reader())),
            // Most clients mean zlib, as the standard does, and some mean bare deflate.
            Self::Deflate if is_zlib(&body) => Box::new(ZlibDecoder::new(body.reader())),
            Self::Deflate => Box::new(DeflateDecoder::new(body.reader())),
            Self::Brotli => Box::new(brotli::Decompressor::new(body.reader(), PIECE)),
            Self::Zstd => Box::new(ZstdFrames { frame: None, rest: body }),
        })
    }

    #[cfg(not(feature = "compression"))]
    pub(crate) async fn decode(self, _: Bytes, _: usize) -> Result<Bytes, HttpError> {
        unreachable!("without the feature, no coding is known")
    }
}

/// The size of the pieces in which a body is decompressed.
#[cfg(feature = "compression")]
const PIECE: usize = 16 << 10;
/// The number of bytes after which other tasks of the thread have their turn: a millisecond or so.
#[cfg(feature = "compression")]
const PAUSE: usize = 256 << 10;
/// The largest window of a zstd body, as RFC 9659 requires for HTTP.
#[cfg(feature = "compression")]
const ZSTD_WINDOW: u64 = 8 << 20;

/// True if the body begins with the header of zlib (RFC 1950).
#[cfg(feature = "compression")]
fn is_zlib(body: &[u8]) -> bool {
    let [method, flags, ..] = body else { return false };
    method & 0xf == 8 && (u16::from(*method) << 8 | u16::from(*flags)).is_multiple_of(31)
}

/// The zstd frames of a body, one after the other.
#[cfg(feature = "compression")]
struct ZstdFrames {
    frame: Option<
        ruzstd::decoding::StreamingDecoder<
            bytes::buf::Reader<Bytes>,
            ruzstd::decoding::FrameDecoder,
        >,
    >,
    rest: Bytes,
}

#[cfg(feature = "compression")]
impl std::io::Read for ZstdFrames {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        use bytes::Buf;
        use ruzstd::decoding::StreamingDecoder;

        loop {
            if let Some(frame) = &mut self.frame {
                let read = frame.read(buffer)?;
                if read > 0 {
                    return Ok(read);
                }
                let ended = self.frame.take().map(StreamingDecoder::into_inner);
                self.rest = ended.map(bytes::buf::Reader::into_inner).unwrap_or_default();
            }
            if self.rest.is_empty() {
                return Ok(0);
            }
            let rest = std::mem::take(&mut self.rest).reader();
            let frame = StreamingDecoder::new_with_max_window_size(rest, ZSTD_WINDOW);
            self.frame = Some(frame.map_err(std::io::Error::other)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(value: &'static str) -> Result<Option<Coding>, u16> {
        let headers = [(CONTENT_ENCODING, HeaderValue::from_static(value))].into_iter().collect();
        Coding::of(&headers).map_err(|error| error.status().as_u16())
    }

    #[test]
    fn an_unknown_coding_is_refused() {
        assert_eq!(of(""), Ok(None));
        assert_eq!(of("identity"), Ok(None));
        for unknown in ["compress", "gzip, br", "gzip;q=1", "aes128gcm", "gzipp"] {
            assert_eq!(of(unknown), Err(415), "{unknown}");
        }
    }

    #[cfg(feature = "compression")]
    #[test]
    fn names_are_known_in_any_case() {
        assert_eq!(of("GZIP"), Ok(Some(Coding::Gzip)));
        assert_eq!(of("x-gzip"), Ok(Some(Coding::Gzip)));
        assert_eq!(of("identity, br"), Ok(Some(Coding::Brotli)));
        assert_eq!(of("zstd"), Ok(Some(Coding::Zstd)));
    }
}
