//! [`Page`]: the pixels of a page, and how a PNG becomes one.
//!
//! Whoever sends a PNG may be anybody, so its size is looked at before anything is allocated
//! for it.

use std::io::Cursor;

use png::{ColorType, Decoder, DecodingError, Limits, Transformations};
use serve_core::prelude::*;

/// The longest side of a page, in pixels.
pub(crate) const MAX_SIDE: u32 = 10_000;

/// The most pixels of a page: an A4 sheet at 600 dots per inch has 35 million. With 4 bytes each
/// while it is decoded, and 3 from then on, a page needs 160 MB at most.
pub(crate) const MAX_PIXELS: u64 = 40_000_000;

/// What the decoder may allocate besides the picture itself: rows, palettes, chunks.
const DECODER_BYTES: usize = 16 * 1024 * 1024;

/// The pixels of a page. A clone shares them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Page {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// Red, green and blue of each pixel, row by row.
    pub pixels: Bytes,
}

/// Why a body is no page.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, thiserror::Error)]
pub enum PageError {
    /// Nothing was sent.
    #[error("the body is empty; send the bytes of a PNG (`curl --data-binary @page.png`)")]
    Empty,
    /// Something else was sent.
    #[error("the body is {0}; send the page as a PNG")]
    NotPng(String),
    /// The PNG has too many pixels.
    #[error(
        "the picture has {width} x {height} pixels, and a page may have {MAX_SIDE} on each side \
         and {} million in all; send it smaller (300 dots per inch are plenty)",
        MAX_PIXELS / 1_000_000
    )]
    TooLarge {
        /// As its header says.
        width: u32,
        /// As its header says.
        height: u32,
    },
    /// The PNG has several frames.
    #[error("the PNG is an animation; send the frame to read as a PNG of its own")]
    Animated,
    /// The PNG ends too early.
    #[error("the PNG ends before its picture does; send the whole file")]
    Truncated,
    /// The PNG is damaged, or needs more memory than a page should.
    #[error("the PNG is damaged ({0}); save it again and send that")]
    Damaged(String),
}

impl HttpStatus for PageError {
    fn status(&self) -> u16 {
        match self {
            Self::Empty => 400,
            Self::NotPng(_) => 415,
            Self::TooLarge { .. } => 413,
            Self::Animated | Self::Truncated | Self::Damaged(_) => 422,
        }
    }
}

impl Page {
    /// Decodes a PNG of any kind. What is transparent lies on white paper.
    ///
    /// # Errors
    /// If it is no PNG, is damaged, or is larger than a page may be.
    pub fn from_png(png: &[u8]) -> Result<Self, PageError> {
        check_signature(png)?;
        let mut decoder =
            Decoder::new_with_limits(Cursor::new(png), Limits { bytes: DECODER_BYTES });
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        decoder.set_transformations(Transformations::normalize_to_color8());
        let header = decoder.read_header_info().map_err(damaged)?;
        let (width, height) = (header.width, header.height);
        if width.max(height) > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
            return Err(PageError::TooLarge { width, height });
        }
        let mut reader = decoder.read_info().map_err(damaged)?;
        if reader.info().animation_control().is_some_and(|animation| animation.num_frames > 1) {
            return Err(PageError::Animated);
        }

        let (width, height) = (width as usize, height as usize);
        let channels = reader.output_color_type().0.samples();
        // One buffer for the picture as it is decoded and for the page that is made of it.
        let mut pixels = vec![0; width * height * channels.max(3)];
        let decoded = &mut pixels[..width * height * channels];
        let color = reader.next_frame(decoded).map_err(damaged)?.color_type;
        to_rgb(&mut pixels, width * height, color);
        Ok(Self { width, height, pixels: pixels.into() })
    }

    /// The pixel at `x` and `y`, or the nearest that there is.
    pub(crate) fn pixel(&self, x: usize, y: usize) -> [f32; 3] {
        let (x, y) = (x.min(self.width - 1), y.min(self.height - 1));
        let at = 3 * (y * self.width + x);
        [0, 1, 2].map(|channel| f32::from(self.pixels[at + channel]))
    }
}

/// What people send instead of a PNG is told by its name, so that they see which file it was.
fn check_signature(body: &[u8]) -> Result<(), PageError> {
    const OTHERS: [(&[u8], &str); 9] = [
        (b"\xFF\xD8\xFF", "a JPEG"),
        (b"GIF8", "a GIF"),
        (b"%PDF", "a PDF"),
        (b"II*\0", "a TIFF"),
        (b"MM\0*", "a TIFF"),
        (b"\x1F\x8B", "compressed with gzip"),
        (b"iVBOR", "a PNG in base64, not its bytes"),
        (b"data:", "a `data:` URL, not the bytes of a file"),
        (
            b"\x89PNG",
            "a PNG whose line ends were changed on its way (`curl -d` does so, \
                      `curl --data-binary` does not)",
        ),
    ];
    const FORM: &str = "a form, not the file alone (`curl --data-binary @page.png` sends that)";
    const PNG: &[u8] = b"\x89PNG\r\n\x1A\n";
    if body.is_empty() {
        return Err(PageError::Empty);
    }
    if body.starts_with(PNG) {
        return Ok(());
    }
    if PNG.starts_with(body) {
        return Err(PageError::Truncated);
    }
    let other = OTHERS.iter().find(|(start, _)| body.starts_with(start));
    let name = match other {
        Some((_, name)) => name,
        None if body.starts_with(b"RIFF") && body.get(8..12) == Some(b"WEBP") => "a WebP",
        None if body.starts_with(b"BM") && body.get(6..10) == Some(&[0; 4]) => "a BMP",
        None if is_form(body) => FORM,
        None => "no PNG",
    };
    Err(PageError::NotPng(name.to_owned()))
}

/// Whether it begins as `multipart/form-data` does.
fn is_form(body: &[u8]) -> bool {
    let head = &body[..body.len().min(512)];
    head.starts_with(b"--") && head.windows(9).any(|text| text == b"form-data")
}

fn damaged(error: DecodingError) -> PageError {
    match error {
        DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            PageError::Truncated
        }
        other => {
            let said = other.to_string();
            // Of a check sum it says all that it knows, in its own terms.
            let is_sum = said.contains("CRC");
            PageError::Damaged(if is_sum { "a check sum is wrong".to_owned() } else { said })
        }
    }
}

/// Makes three channels of whatever the first `count` pixels of the buffer are, in place.
fn to_rgb(buffer: &mut Vec<u8>, count: usize, color: ColorType) {
    let on_white = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        u8::try_from((value * alpha + 255 * (255 - alpha) + 127) / 255).unwrap_or(u8::MAX)
    };
    match color {
        ColorType::Grayscale => {
            // From the end: what is written never lies before what is still to be read.
            for at in (0..count).rev() {
                let value = buffer[at];
                buffer[3 * at..3 * at + 3].fill(value);
            }
        }
        ColorType::GrayscaleAlpha => {
            for at in (0..count).rev() {
                let value = on_white(buffer[2 * at], buffer[2 * at + 1]);
                buffer[3 * at..3 * at + 3].fill(value);
            }
        }
        ColorType::Rgba => {
            for at in 0..count {
                let alpha = buffer[4 * at + 3];
                for channel in 0..3 {
                    buffer[3 * at + channel] = on_white(buffer[4 * at + channel], alpha);
                }
            }
        }
        // A palette has been expanded by the decoder.
        ColorType::Rgb | ColorType::Indexed => {}
    }
    buffer.truncate(3 * count);
    buffer.shrink_to_fit();
}

#[cfg(test)]
mod tests;
