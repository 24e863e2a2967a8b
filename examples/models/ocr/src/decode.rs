//! [`Decode`]: PNG to pixels.

use serve_core::prelude::*;

use crate::page::{Page, PageError};

/// Decodes PNGs. A large one takes a second, so this has a thread of its own, and the pages that
/// are decoded at a time are as many as it has threads: one.
#[deployment]
#[derive(Debug, Default)]
pub struct Decode;

#[handle]
impl Decode {
    /// The pixels of a PNG.
    ///
    /// # Errors
    /// If it is no PNG, is damaged, or is larger than a page may be.
    #[blocking]
    pub fn page(&self, png: Bytes) -> Result<Page, PageError> {
        Page::from_png(&png)
    }
}
