//! The body of an answer that is compressed: at once, or as it is sent.

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use bytes::{Buf, Bytes};
use flate2::write::GzEncoder;
use futures::FutureExt;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};

use super::coding::Coding;

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
    Body::new(Encoded { body, first, piece: Bytes::new(), encoder: Some(encoder), trailers: None })
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
