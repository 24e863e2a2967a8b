//! [`ModelError`]: why a file cannot be served.

/// Why a GGUF file cannot be served by this program. Each reads on after "cannot load x: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// It cannot be read, or the network in it is not one that candle computes.
    #[error("it is not the GGUF file of a Llama: {0}")]
    Candle(#[from] candle_core::Error),
    /// Its metadata lacks something.
    #[error("its metadata has no `{0}`, or not of the right type")]
    Metadata(&'static str),
    /// Its tokenizer is of another kind.
    #[error("its tokenizer is of the kind `{found}`, and only `{known}` is known here")]
    TokenizerKind {
        /// The kind.
        found: String,
        /// What it has to be.
        known: &'static str,
    },
    /// It was not trained on ChatML.
    #[error("it has no token `{0}`: it was not trained to chat, or in another format than ChatML")]
    NoToken(&'static str),
    /// Its tokenizer's parts do not fit together.
    #[error("its tokenizer is damaged: {0}")]
    Tokenizer(String),
}
