//! Reads scanned pages: `POST /read` with a PNG answers with its lines in reading order.
//!
//! Four deployments do the work, each with replicas and threads of its own, and [`Reader`] says
//! how they belong together: a page is decoded, its lines are found, and each line goes through
//! [`Orient`] and [`Recognise`] on its own.
//!
//! | module | owns |
//! |---|---|
//! | `page` | [`Page`] and the PNGs that become one |
//! | `corners` | [`Corners`]: where a line is |
//! | `network` | one of the models, ready to run |
//! | `tensor` | pictures as the models take them |
//! | `decode` | [`Decode`]: PNG to pixels |
//! | `detect` | [`Detect`]: pixels to boxes around lines |
//! | `orient` | [`Orient`]: a box to an upright strip of pixels |
//! | `recognise` | [`Recognise`]: a strip to its text |
//! | `order` | in which order people read the boxes |
//! | `reader` | [`Reader`]: the graph, over HTTP |

mod corners;
mod decode;
mod detect;
mod network;
mod order;
mod orient;
mod page;
mod reader;
mod recognise;
mod tensor;

use serve_core::prelude::*;

pub use corners::Corners;
pub use decode::{Decode, DecodeHandle, DecodeMock};
pub use detect::{Detect, DetectHandle, DetectMock};
pub use order::as_people_read;
pub use orient::{Orient, OrientHandle, OrientMock, Strip};
pub use page::{Page, PageError};
pub use reader::{Line, Reader, ReaderHandle, ReaderMock};
pub use recognise::{Reading, Recognise, RecogniseHandle, RecogniseMock};

/// What can be chosen when the application is started: `cargo serve run ocr recognise=2`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How many replicas of `Recognise` there are, at least 1. Without it there are as many as
    /// the load asks for, from 1 to 4.
    pub recognise: Option<std::num::NonZeroUsize>,
}

/// The pipeline.
#[application]
pub fn ocr(options: Options) -> Application<Reader> {
    let mut recognise = Recognise::bind();
    if let Some(replicas) = options.recognise {
        recognise = recognise.num_replicas(replicas.get());
    }
    Reader::bind(Decode::bind(), Detect::bind(), Orient::bind(), recognise).into()
}

#[cfg(test)]
mod tests;
