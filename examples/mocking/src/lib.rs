//! Testing one deployment of a graph: what it calls is mocked, with the methods' own types.

use serve_core::prelude::*;

/// A model that is slow to load; tests do without it.
#[deployment]
#[derive(Debug)]
pub struct Translator;

#[handle]
impl Translator {
    /// Loads the model.
    pub async fn new() -> Result<Self> {
        Err(Error::msg("there is no model on this machine"))
    }

    /// The text in another language.
    pub async fn translate(&self, text: String) -> Result<String> {
        Ok(text)
    }
}

/// The deployment under test.
#[deployment]
#[derive(Debug)]
pub struct Front {
    translator: TranslatorHandle,
}

#[handle]
impl Front {
    /// Calls `translator`.
    pub fn new(translator: TranslatorHandle) -> Self {
        Self { translator }
    }

    /// The translation, and how long it is.
    pub async fn measure(&self, text: String) -> Result<(String, usize)> {
        let translated = self.translator.translate(text).await?;
        let length = translated.chars().count();
        Ok((translated, length))
    }
}

/// A front and its translator.
#[application]
pub fn mocking() -> Application<Front> {
    Front::bind(Translator::bind()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_front_measures_what_the_translator_says() -> Result<()> {
        let translator = TranslatorMock::new()
            .translate(|text: String| async move { Ok(text.replace("Hello", "Olá")) });
        let runtime = MockRuntime::builder().mock(translator).seed(7).start();
        let front = runtime.run(mocking()).await?;
        assert_eq!(front.measure("Hello").await?, ("Olá".to_owned(), 3));
        let calls = runtime.calls::<Translator>();
        assert_eq!(calls, ["translate"]);
        assert_eq!(format!("{calls:?}"), r#"[translate(text: "Hello")]"#);
        Ok(())
    }

    #[tokio::test]
    async fn without_a_mock_the_deploy_says_what_the_constructor_said() {
        let runtime = MockRuntime::builder().start();
        let error = runtime.run(mocking()).await.expect_err("the model is not there");
        assert_eq!(
            error.to_string(),
            "application `default`: a replica of `Translator` did not start: there is no model on \
             this machine"
        );
    }
}
