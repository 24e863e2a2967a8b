//! The language classifier: one endpoint, and a deployment for each language behind it.

use serve_core::prelude::*;

/// Greets in Spanish.
#[deployment(num_replicas = 3, num_cpus = 0.5)]
#[derive(Debug)]
pub struct SpanishResponder;

#[handle]
impl SpanishResponder {
    /// Nothing to load.
    #[expect(clippy::new_without_default, reason = "`new` is what `bind` calls")]
    pub fn new() -> Self {
        Self
    }

    /// A greeting.
    pub async fn say_hello(&self, name: String) -> String {
        format!("Hola {name}")
    }
}

/// Greets in French.
#[deployment]
#[derive(Debug)]
pub struct FrenchResponder;

#[handle]
impl FrenchResponder {
    /// Nothing to load.
    #[expect(clippy::new_without_default, reason = "`new` is what `bind` calls")]
    pub fn new() -> Self {
        Self
    }

    /// A greeting.
    pub async fn say_hello(&self, name: String) -> String {
        format!("Bonjour {name}")
    }
}

/// The languages there are.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Español.
    Spanish,
    /// Français.
    French,
}

/// The ingress: asks the responder of the language.
#[deployment]
#[derive(Debug)]
pub struct LanguageClassifier {
    spanish: SpanishResponderHandle,
    french: FrenchResponderHandle,
}

#[handle]
impl LanguageClassifier {
    /// One handle for each language.
    pub fn new(spanish: SpanishResponderHandle, french: FrenchResponderHandle) -> Self {
        Self { spanish, french }
    }

    /// A greeting in the language.
    #[post("/")]
    pub async fn greet(&self, language: Language, name: String) -> Result<String> {
        let response = match language {
            Language::Spanish => self.spanish.say_hello(name),
            Language::French => self.french.say_hello(name),
        };
        Ok(response.await?)
    }
}

/// The language classifier.
#[application]
pub fn language_classifier() -> Application<LanguageClassifier> {
    LanguageClassifier::bind(SpanishResponder::bind(), FrenchResponder::bind()).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn greets_over_http() -> Result<()> {
        let runtime = MockRuntime::builder().start();
        runtime.run(language_classifier()).await?;
        for (language, greeting) in [("spanish", "Hola Dora"), ("french", "Bonjour Dora")] {
            let response = runtime.http().post("/").json(dora_in(language)).await?;
            assert_eq!(response.status(), 200);
            assert_eq!(response.text().await?, greeting);
        }
        let response = runtime.http().post("/").json(dora_in("german")).await?;
        assert_eq!(response.status(), 422);
        let text = response.text().await?;
        for word in ["language", "german", "spanish", "french"] {
            assert!(text.contains(word), "{text}");
        }
        assert_eq!(runtime.http().get("/nothing").await?.status(), 404);
        Ok(())
    }

    fn dora_in(language: &str) -> BTreeMap<&str, &str> {
        [("language", language), ("name", "Dora")].into()
    }

    #[tokio::test(start_paused = true)]
    async fn greets_in_spanish() -> Result<()> {
        let spanish = SpanishResponderMock::new()
            .say_hello(|name: String| async move { format!("¡Hola, {name}!") });
        let runtime = MockRuntime::builder().mock(spanish).seed(7).start();
        let classifier = runtime.run(language_classifier()).await?;
        assert_eq!(classifier.greet(Language::Spanish, "Dora").await?, "¡Hola, Dora!");
        assert_eq!(runtime.calls::<SpanishResponder>(), ["say_hello"]);
        Ok(())
    }

    #[test]
    fn the_readme_shows_this_very_code() {
        let (code, _) = include_str!("lib.rs").split_once("#[cfg(test)]").expect("tests follow");
        let left_out = ["//!", "///", "#[expect", "#[derive(Debug)]"];
        let shown: Vec<_> = code
            .lines()
            .filter(|line| !left_out.iter().any(|start| line.trim_start().starts_with(start)))
            .collect();
        let shown = shown.join("\n");
        assert!(include_str!("../../../README.md").contains(shown.trim()), "expected\n{shown}");
    }

    #[tokio::test]
    async fn a_plain_struct_stays_one() {
        assert_eq!(SpanishResponder::new().say_hello("Dora".into()).await, "Hola Dora");
    }
}
