//! A language model behind OpenAI's chat interface, token by token.
//!
//! ```text
//! OpenAi      HTTP: checks what is asked, speaks OpenAI's JSON and server-sent events
//! └─ Generate computes answers on threads of its own, one at a time on each replica
//! ```
//!
//! `cargo serve run chat`, then any client of OpenAI with `http://localhost:8000/v1` as its base.

pub mod generate;
mod library;
pub mod model;
pub mod openai;
mod settings;

use serve_core::http::HttpOptions;
use serve_core::prelude::*;

pub use generate::{Generate, GenerateError, GenerateHandle, GenerateMock, Wish, begin};
pub use library::Library;
pub use openai::{OpenAi, OpenAiHandle};
pub use settings::{ModelSettings, SMOLLM2, Settings};

/// Serves the models that `settings` name; without any, SmolLM2-135M-Instruct under two names,
/// one of which answers briefly.
#[application]
pub fn chat(settings: Settings) -> Result<Application<OpenAi>> {
    settings.check()?;
    let generate = Generate::bind(Library::default(), settings.models.clone())
        .num_replicas(settings.replicas.get());
    // Errors that arise before a handler runs have the form that OpenAI's clients read, too.
    let options = HttpOptions::new().error_format("openai");
    Ok(Application::new(OpenAi::bind(generate, settings.models)).http_options(options))
}
