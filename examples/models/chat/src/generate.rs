//! [`Generate`]: the deployment that computes answers.

use std::sync::Arc;

use serve_core::prelude::*;

use crate::library::Library;
use crate::model::{
    Choice, Generation, Limits, Llama, Message, Piece, Sampler, Session, Stops, chat_ml,
    shares_threads,
};
use crate::settings::ModelSettings;

/// What is asked for beside the messages. What is `None` is as the model's settings say.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Wish {
    /// At most so many tokens; at least 1. `None`: as many as fit.
    pub max_tokens: Option<usize>,
    /// From 0 to 2.
    pub temperature: Option<f32>,
    /// From 0 to 1.
    pub top_p: Option<f32>,
    /// From -2 to 2.
    pub frequency_penalty: f32,
    /// From -2 to 2.
    pub presence_penalty: f32,
    /// The same seed chooses the same tokens, on one build and one kind of processor.
    pub seed: u64,
    /// Texts before which the answer ends.
    pub stop: Vec<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// The conversation leaves no room for an answer, or for so long a one.
    #[error(
        "This model's maximum context length is {context} tokens. However, you requested {} tokens \
         ({prompt} in the messages, {answer} in the completion). Please reduce the length of the \
         messages or completion.", prompt + answer
    )]
    TooLong {
        /// Tokens that fit.
        context: usize,
        /// Tokens of the messages.
        prompt: usize,
        /// Tokens asked for; 1 if no number was.
        answer: usize,
    },
    /// The model could not be loaded.
    #[error("the model could not be loaded: {0}")]
    Load(String),
    /// The network could not be computed.
    #[error("the model failed: {0}")]
    Failed(String),
}

/// A model that is loaded, and how it is asked.
#[derive(Debug)]
struct Asked {
    llama: Arc<Llama>,
    settings: ModelSettings,
}

/// Computes answers on the replica's own thread, one at a time: two at once would each take
/// twice as long, and as much memory again. So others wait in the one queue of all replicas, and
/// more replicas answer more at once. The model is the one that the request names
/// (`multiplexed_model_id`).
#[deployment(max_ongoing_requests = 1, max_queued_requests = 32, request_timeout = "300s")]
#[derive(Debug)]
pub struct Generate {
    models: Multiplexed<Asked>,
}

#[handle]
impl Generate {
    /// Loads the first of `models`, which `library` keeps for all replicas; the others when they
    /// are first asked for.
    async fn new(library: Library, models: Vec<ModelSettings>) -> Result<Self> {
        let first = models.first().map(|model| model.id.clone());
        let models =
            Multiplexed::new(usize::MAX, move |id| load(library.clone(), models.clone(), id));
        models.get(&first.unwrap_or_default()).await?;
        if shares_threads() {
            tracing::warn!(
                "replicas share the threads of candle, and slow each other down: set \
                 CANDLE_NUM_THREADS=1, and each computes on a thread of its own"
            );
        }
        Ok(Self { models })
    }

    /// The assistant's next message, piece by piece. Dropping the stream ends the computation at
    /// the next piece: a token, or 16 of the prompt.
    #[blocking]
    pub fn answer(
        &self,
        messages: Vec<Message>,
        wish: Wish,
    ) -> Result<impl Iterator<Item = Result<Piece, GenerateError>>, GenerateError> {
        let model = self.models.blocking_current();
        let model = model.map_err(|error| GenerateError::Load(error.to_string()))?;
        let generation = begin(&model.llama, &model.settings, &messages, wish)?;
        Ok(generation.map(|piece| piece.map_err(|error| GenerateError::Failed(error.to_string()))))
    }
}

async fn load(library: Library, models: Vec<ModelSettings>, id: String) -> Result<Asked> {
    let settings = models.into_iter().find(|model| model.id == id);
    let settings = settings
        .ok_or_else(|| Error::msg(format!("The model `{id}` does not exist")).with_status(404))?;
    let llama = library.open(settings.gguf.as_deref()).await?;
    Ok(Asked { llama, settings })
}

/// An answer of which nothing is computed yet.
///
/// # Errors
/// If the conversation is too long.
pub fn begin(
    llama: &Llama,
    settings: &ModelSettings,
    messages: &[Message],
    wish: Wish,
) -> Result<Generation<Session>, GenerateError> {
    let prompt = chat_ml::encode(messages, &settings.system, llama.tokenizer());
    let tokens = room(llama.context(), prompt.len(), wish.max_tokens)?;
    let choice = Choice {
        temperature: wish.temperature.unwrap_or(settings.temperature),
        top_p: wish.top_p.unwrap_or(settings.top_p),
        frequency_penalty: wish.frequency_penalty,
        presence_penalty: wish.presence_penalty,
    };
    let sampler = Sampler::new(choice, wish.seed);
    let limits = Limits { tokens, stops: Stops::new(wish.stop) };
    let tokenizer = Arc::clone(llama.tokenizer());
    Ok(Generation::new(llama.session(), tokenizer, prompt, sampler, limits))
}

/// How many tokens an answer may have.
fn room(context: usize, prompt: usize, wished: Option<usize>) -> Result<usize, GenerateError> {
    let answer = wished.unwrap_or(1);
    if prompt.saturating_add(answer) > context {
        return Err(GenerateError::TooLong { context, prompt, answer });
    }
    Ok(wished.unwrap_or(context - prompt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_room_that_is_left() {
        assert_eq!(room(4_096, 96, None), Ok(4_000));
        assert_eq!(room(4_096, 96, Some(10)), Ok(10));
        assert_eq!(room(4_096, 96, Some(4_000)), Ok(4_000));
        assert_eq!(room(4_096, 4_095, None), Ok(1));
    }

    #[test]
    fn more_than_fits_is_refused_with_the_numbers() {
        let error = room(4_096, 96, Some(4_001)).expect_err("one too many").to_string();
        assert!(error.contains("4096 tokens") && error.contains("4097 tokens"), "{error}");
        assert!(error.contains("96 in the messages, 4001 in the completion"), "{error}");
        room(4_096, 4_096, None).expect_err("no room for an answer");
        room(4_096, 9, Some(usize::MAX)).expect_err("far too many");
    }
}
