//! `Embed`: batches of texts, each replica on a thread of its own.

use serve_core::prelude::*;

use crate::encoder::Encoder;
use crate::vectors::Embedding;

/// Turns texts into directions.
#[deployment]
#[derive(Debug)]
pub struct Embed {
    encoder: Encoder,
}

#[handle]
impl Embed {
    /// Loads the model.
    ///
    /// # Errors
    /// If the weights are not there and cannot be fetched.
    #[blocking]
    pub fn new() -> Result<Self> {
        Ok(Self { encoder: Encoder::load()? })
    }

    /// The direction of a text. A batch does not wait for more: a question that comes alone is
    /// served at once, and under load texts gather while the batch before them runs. It is small,
    /// because a question may come behind one of passages, each of which takes 50 ms.
    ///
    /// # Errors
    /// If the engine fails.
    #[blocking]
    #[batch(max_batch_size = 8, batch_wait_timeout = "0ms")]
    pub fn embed(&self, texts: Vec<String>) -> Result<Vec<Embedding>> {
        self.encoder.embed(&texts)
    }
}
