//! The compression of answers, as the client accepts.

use axum::body::{Body, HttpBody as _};
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::cors::add_vary;
use crate::ingress::response::error_format::qualities;

/// The size up to which a body is sent as it is: it would hardly become smaller than one packet.
const SMALLEST: u64 = 1024;

/// A way in which an answer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Gzip,
}

impl Coding {
    const fn name(self) -> &'static str {
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

/// Compresses an answer if the client accepts it and the answer is fit for it.
pub(crate) fn compressed(mut response: Response<Body>, coding: Option<Coding>) -> Response<Body> {
    if !is_fit(&response) {
        return response;
    }
    // Caches keep the answers apart, also the one that is sent as it is.
    add_vary(response.headers_mut(), HeaderValue::from_name(ACCEPT_ENCODING));
    let Some(coding) = coding else { return response };
    // The answer to `HEAD` has no body here.
    if is_small(&response) || response.body().is_end_stream() {
        return response;
    }
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.remove(HeaderName::from_static("accept-ranges"));
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    weaken(headers);
    response.map(|body| encoding::encoded(body, coding))
}

fn is_small(response: &Response<Body>) -> bool {
    let length = response.body().size_hint().exact();
    length.is_some_and(|length| length <= SMALLEST)
}

fn is_fit(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED, StatusCode::PARTIAL_CONTENT];
    let no_transform = headers.get_all(CACHE_CONTROL).iter().any(|value| {
        value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains("no-transform"))
    });
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    !bodiless.contains(&response.status())
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
        && !no_transform
        && content_type.is_some_and(is_compressible)
}

/// True for text in a wide sense. Events of a server are not compressed: proxies and clients pass them
/// on one by one.
fn is_compressible(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = [
        "application/json",
        "application/x-ndjson",
        "application/javascript",
        "application/xml",
        "application/wasm",
        "application/yaml",
        "image/svg+xml",
    ];
    (essence.starts_with("text/") && essence != "text/event-stream")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || known.contains(&&*essence)
}

/// Makes a strong `ETag` a weak one: the compressed answer has other bytes.
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")) else {
        return;
    };
    if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        headers.insert(ETAG, weak);
    }
}

#[cfg(not(feature = "compression"))]
mod encoding {
    use super::{Body, Coding};

    /// Never runs: the option is refused without the feature.
    pub(super) fn encoded(body: Body, _: Coding) -> Body {
        body
    }
}

#[cfg(feature = "compression")]
mod encoding {
    use std::io::Write;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};

    use axum::body::HttpBody;
    use bytes::{Buf, Bytes};
    use flate2::write::GzEncoder;
    use futures::FutureExt;
    use http_body_util::BodyExt;
    use hyper::body::{Frame, SizeHint};

    use super::{Body, Coding};

    /// The largest body that is compressed at once: a few milliseconds. The pieces of a larger one are
    /// compressed when they are sent.
    const AT_ONCE: u64 = 256 << 10;
    /// The size of such a piece.
    const PIECE: usize = 64 << 10;
    /// The level of gzip that zlib itself uses.
    const GZIP_LEVEL: u32 = 6;
    /// The quality of brotli at which it is as fast as gzip, and compresses better.
    const BROTLI_QUALITY: u32 = 4;
    /// The window of brotli, as a power of two: 512 KiB, which bounds the memory of an answer.
    const BROTLI_WINDOW: u32 = 19;

    enum Encoder {
        Gzip(GzEncoder<Vec<u8>>),
        Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    }

    impl Encoder {
        fn new(coding: Coding) -> Self {
            match coding {
                Coding::Gzip => {
                    let level = flate2::Compression::new(GZIP_LEVEL);
                    Self::Gzip(GzEncoder::new(Vec::new(), level))
                }
                Coding::Brotli => {
                    let (quality, window) = (BROTLI_QUALITY, BROTLI_WINDOW);
                    let writer = brotli::CompressorWriter::new(Vec::new(), 4096, quality, window);
                    Self::Brotli(Box::new(writer))
                }
            }
        }

        fn write(&mut self, data: &[u8]) {
            let written = match self {
                Self::Gzip(encoder) => encoder.write_all(data),
                Self::Brotli(encoder) => encoder.write_all(data),
            };
            written.expect("a `Vec` takes everything");
        }

        /// Returns all that was written so far, such that a client can read it.
        fn flush(&mut self) -> Bytes {
            let (flushed, encoded) = match self {
                Self::Gzip(encoder) => (encoder.flush(), encoder.get_mut()),
                Self::Brotli(encoder) => (encoder.flush(), encoder.get_mut()),
            };
            flushed.expect("a `Vec` takes everything");
            std::mem::take(encoded).into()
        }

        fn finish(self) -> Bytes {
            match self {
                Self::Gzip(encoder) => encoder.finish().expect("a `Vec` takes everything").into(),
                Self::Brotli(encoder) => encoder.into_inner().into(),
            }
        }
    }

    /// Compresses a body: at once if it is complete and small enough, else as it is sent.
    pub(super) fn encoded(mut body: Body, coding: Coding) -> Body {
        let mut encoder = Encoder::new(coding);
        let mut first = None;
        if body.size_hint().exact().is_some_and(|length| length <= AT_ONCE) {
            first = body.frame().now_or_never();
            if let Some(Some(Ok(frame))) = &first
                && let Some(data) = frame.data_ref()
                && body.is_end_stream()
            {
                encoder.write(data);
                return Body::from(encoder.finish());
            }
        }
        Body::new(Encoded {
            body,
            first,
            piece: Bytes::new(),
            encoder: Some(encoder),
            trailers: None,
        })
    }

    type Next = Option<Result<Frame<Bytes>, axum::Error>>;

    /// A body that is compressed as it is sent. Each frame can be read when it has arrived.
    struct Encoded {
        body: Body,
        /// A frame that was taken before.
        first: Option<Next>,
        /// The rest of a frame.
        piece: Bytes,
        /// `None` once the end was sent.
        encoder: Option<Encoder>,
        trailers: Option<Frame<Bytes>>,
    }

    impl HttpBody for Encoded {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            let this = &mut *self;
            loop {
                let Some(encoder) = &mut this.encoder else {
                    return Poll::Ready(this.trailers.take().map(Ok));
                };
                if this.piece.has_remaining() {
                    let piece = this.piece.split_to(this.piece.len().min(PIECE));
                    encoder.write(&piece);
                    let encoded = encoder.flush();
                    return Poll::Ready(Some(Ok(Frame::data(encoded))));
                }
                let next = match this.first.take() {
                    Some(next) => next,
                    None => ready!(Pin::new(&mut this.body).poll_frame(cx)),
                };
                match next {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => {
                            this.piece = data;
                            continue;
                        }
                        Err(trailers) => this.trailers = Some(trailers),
                    },
                    Some(Err(error)) => {
                        this.encoder = None;
                        return Poll::Ready(Some(Err(error)));
                    }
                    None => {}
                }
                let end = this.encoder.take().map(Encoder::finish).unwrap_or_default();
                if !end.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(end))));
                }
            }
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn text_is_compressible_and_events_are_not() {
        for fit in ["text/plain; charset=utf-8", "application/json", "application/problem+json"] {
            assert!(is_compressible(fit), "{fit}");
        }
        for unfit in
            ["text/event-stream", "image/png", "application/grpc", "application/octet-stream"]
        {
            assert!(!is_compressible(unfit), "{unfit}");
        }
    }
}
