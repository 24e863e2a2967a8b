//! The language model: from messages to tokens, from tokens to scores, from scores to text.
//!
//! Nothing here knows of deployments or HTTP. All but `llama` is plain data in, plain data out.
//!
//! | module | owns |
//! |---|---|
//! | `tokenizer` | text to tokens and tokens to bytes, as the GGUF file says |
//! | `chat_ml` | messages as the model was trained to read them |
//! | `llama` | the network, computed by candle |
//! | `one_thread` | that it computes on the thread which calls it |
//! | `quick` | weights in the form that candle computes quickest |
//! | `sampler` | which token comes next |
//! | `text` | bytes to text, never cut inside a character |
//! | `stop` | the texts at which an answer ends |
//! | `generation` | all of them together: an answer, token by token |

pub mod chat_ml;
mod error;
mod generation;
mod llama;
mod one_thread;
mod quick;
mod sampler;
mod stop;
mod text;
mod tokenizer;

pub use chat_ml::{Message, Role};
pub use error::ModelError;
pub use generation::{Finish, Generation, Limits, Piece};
pub use llama::{Llama, Network, Session};
pub use one_thread::shares_threads;
pub use sampler::{Choice, Sampler};
pub use stop::Stops;
pub use text::Utf8;
pub use tokenizer::Tokenizer;
