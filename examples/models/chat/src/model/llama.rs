//! [`Llama`]: the network, computed by candle.

use std::fmt;
use std::io::Cursor;
use std::sync::Arc;

use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Tensor};
use candle_transformers::models::quantized_llama::{MAX_SEQ_LEN, ModelWeights};

use super::quick::in_quick_blocks;
use super::{ModelError, Tokenizer, one_thread};

/// What reads tokens and says what may come next.
pub trait Network {
    /// Reads `tokens`, at least one, after all that it has read before. Gives a score for each
    /// token of the vocabulary: how likely it comes next.
    ///
    /// # Errors
    /// If it could not be computed.
    fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>, candle_core::Error>;
}

/// A model from a GGUF file. Its weights do not change, so that any number of answers, of any
/// number of replicas, share them.
pub struct Llama {
    weights: ModelWeights,
    tokenizer: Arc<Tokenizer>,
    context: usize,
}

impl Llama {
    /// Reads the contents of a GGUF file. Takes more memory than that has, since candle wants
    /// the embeddings as floats.
    ///
    /// # Errors
    /// If it is not the file of a Llama that chats in ChatML.
    pub fn read(gguf: &[u8]) -> Result<Self, ModelError> {
        one_thread::stay_on_this_thread();
        let gguf = in_quick_blocks(gguf)?;
        let mut reader = Cursor::new(gguf);
        let content = Content::read(&mut reader)?;
        let tokenizer = Arc::new(Tokenizer::read(&content)?);
        const CONTEXT: &str = "llama.context_length";
        let context = content.metadata.get(CONTEXT).and_then(|length| length.to_u32().ok());
        let context = context.ok_or(ModelError::Metadata(CONTEXT))?;
        let weights = ModelWeights::from_gguf(content, &mut reader, &Device::Cpu)?;
        // candle has rotary embeddings for so many places, whatever the model was trained on.
        let context = usize::try_from(context).map_or(MAX_SEQ_LEN, |n| n.min(MAX_SEQ_LEN));
        Ok(Self { weights, tokenizer, context })
    }

    /// How many tokens a conversation may have, the answer among them.
    #[must_use]
    pub fn context(&self) -> usize {
        self.context
    }

    /// Its tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// A conversation with it, of which nothing has been read yet.
    #[must_use]
    pub fn session(&self) -> Session {
        // Tensors are shared: this copies pointers, and a cache that is empty.
        Session { weights: self.weights.clone(), read: 0 }
    }
}

impl fmt::Debug for Llama {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Llama").field("context", &self.context).finish_non_exhaustive()
    }
}

/// A conversation with a [`Llama`], and what the network keeps of it: 45 KiB for each token of
/// SmolLM2-135M (30 layers, keys and values, 3 heads of 64 floats each).
pub struct Session {
    weights: ModelWeights,
    read: usize,
}

impl Network for Session {
    fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>, candle_core::Error> {
        one_thread::stay_on_this_thread();
        let input = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let scores = self.weights.forward(&input, self.read)?.squeeze(0)?.to_vec1()?;
        self.read += tokens.len();
        Ok(scores)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("read", &self.read).finish_non_exhaustive()
    }
}
