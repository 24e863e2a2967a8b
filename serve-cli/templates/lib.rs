//! Says hello in the language one asks for.
//!
//! ```console
//! $ cargo serve run {{package}}:language_classifier
//! $ curl localhost:8000 --json '{"language": "spanish", "name": "Dora"}'
//! Hola Dora
//! ```

use serve_core::prelude::*;

/// Says hello in Spanish. Three replicas share the calls.
#[deployment(num_replicas = 3)]
#[derive(Debug, Default)]
pub struct SpanishResponder;

#[handle]
impl SpanishResponder {
    /// Greets someone.
    pub async fn say_hello(&self, name: String) -> String {
        format!("Hola {name}")
    }
}

/// Says hello in French.
#[deployment]
#[derive(Debug, Default)]
pub struct FrenchResponder;

#[handle]
impl FrenchResponder {
    /// Greets someone.
    pub async fn say_hello(&self, name: String) -> String {
        format!("Bonjour {name}")
    }
}

/// A language that somebody can be greeted in.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// `"spanish"`
    Spanish,
    /// `"french"`
    French,
}

/// The way in: passes each request on to the responder for its language.
#[deployment]
#[derive(Debug)]
pub struct LanguageClassifier {
    spanish: SpanishResponderHandle,
    french: FrenchResponderHandle,
}

#[handle]
impl LanguageClassifier {
    /// The handles are filled in when the application is bound, below.
    pub fn new(spanish: SpanishResponderHandle, french: FrenchResponderHandle) -> Self {
        Self { spanish, french }
    }

    /// Greets someone in their language.
    #[post("/")]
    pub async fn greet(&self, language: Language, name: String) -> Result<String> {
        let response = match language {
            Language::Spanish => self.spanish.say_hello(name),
            Language::French => self.french.say_hello(name),
        };
        Ok(response.await?)
    }
}

/// Says hello in the language one asks for.
#[application]
pub fn language_classifier() -> Application<LanguageClassifier> {
    LanguageClassifier::bind(SpanishResponder::bind(), FrenchResponder::bind()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn greets_in_spanish() -> Result<()> {
        let spanish = SpanishResponderMock::new()
            .say_hello(|name: String| async move { format!("¡Hola, {name}!") });
        let runtime = MockRuntime::builder().mock(spanish).start();
        let classifier = runtime.run(language_classifier()).await?;
        let greeting = classifier.greet(Language::Spanish, "Dora").await?;
        assert_eq!(greeting, "¡Hola, Dora!");
        assert_eq!(runtime.calls::<SpanishResponder>(), ["say_hello"]);
        Ok(())
    }
}
