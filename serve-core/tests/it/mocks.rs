//! The mock runtime: answers in place of deployments, and the record of calls.

use crate::support::panics::panic_message;

use std::time::Duration;

use serve_core::prelude::*;
use tokio::time::{Instant, sleep};

#[deployment]
struct SpanishResponder;

#[handle]
impl SpanishResponder {
    fn new() -> Self {
        panic!("a mocked deployment has no instance");
    }

    pub async fn say_hello(&self, name: String) -> String {
        format!("Hola {name}")
    }

    pub async fn translate(&self, text: String) -> Result<String> {
        Ok(text)
    }

    pub fn words(&self, text: String) -> impl Stream<Item = String> {
        futures::stream::iter([text])
    }

    pub async fn unmocked(&self) {}
}

#[deployment(num_replicas = 4)]
struct Classifier {
    spanish: SpanishResponderHandle,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Language {
    Spanish,
    French,
}

#[handle]
impl Classifier {
    fn new(spanish: SpanishResponderHandle) -> Self {
        Self { spanish }
    }

    pub async fn greet(&self, language: Language, name: String) -> Result<String> {
        match language {
            Language::Spanish => Ok(self.spanish.say_hello(name).await?),
            Language::French => Err(Error::msg("no French here").with_status(404)),
        }
    }

    pub async fn translate(&self, text: String) -> Result<String> {
        Ok(self.spanish.translate(text).await?)
    }

    pub async fn words(&self, text: String) -> Result<Vec<String>> {
        Ok(self.spanish.words(text).try_collect().await?)
    }

    pub async fn unmocked(&self) -> Result<()> {
        Ok(self.spanish.unmocked().await?)
    }

    pub async fn replica(&self) -> String {
        replica_context().expect("a method runs in a replica").replica_id().to_owned()
    }
}

fn classifier() -> Application<Classifier> {
    Classifier::bind(SpanishResponder::bind()).into()
}

#[tokio::test(start_paused = true)]
async fn mocks_answer_and_record_calls() -> Result<()> {
    let spanish = SpanishResponderMock::new()
        .say_hello(|name: String| async move { format!("¡Hola, {name}!") });
    let runtime = MockRuntime::builder().mock(spanish).seed(7).start();
    let classifier = runtime.run(classifier()).await?;
    assert_eq!(classifier.greet(Language::Spanish, "Dora").await?, "¡Hola, Dora!");
    assert_eq!(runtime.calls::<SpanishResponder>(), ["say_hello"]);
    let calls = runtime.calls::<Classifier>();
    assert_eq!(calls, ["greet"]);
    assert_eq!(format!("{:?}", calls[0]), r#"greet(language: "spanish", name: "Dora")"#);
    assert_eq!(
        calls[0].arguments(),
        Some(&serde_json::json!({"language": "spanish", "name": "Dora"}))
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn mocks_can_fail_stream_and_delay() -> Result<()> {
    let spanish = SpanishResponderMock::new()
        .translate(|text: String| async move {
            sleep(Duration::from_secs(3600)).await;
            if text.is_empty() { Err(Error::msg("nothing to translate")) } else { Ok(text) }
        })
        .words(|text: String| {
            futures::stream::iter(text.split(' ').map(str::to_owned).collect::<Vec<_>>())
        });
    let runtime = MockRuntime::builder().mock(spanish).start();
    let classifier = runtime.run(classifier()).await?;
    let began = Instant::now();
    assert_eq!(classifier.translate("a").await?, "a");
    assert_eq!(began.elapsed(), Duration::from_secs(3600), "an hour on the paused clock");
    let failed = classifier.translate("").await.unwrap_err();
    assert!(
        matches!(&failed, CallError::App(error) if error.to_string() == "nothing to translate")
    );
    assert_eq!(classifier.words("a b c").await?, ["a", "b", "c"]);
    assert_eq!(runtime.calls::<SpanishResponder>(), ["translate", "translate", "words"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_unmocked_method_fails_by_name() -> Result<()> {
    let runtime = MockRuntime::builder().mock(SpanishResponderMock::new()).start();
    let classifier = runtime.run(classifier()).await?;
    let error = classifier.unmocked().await.unwrap_err().to_string();
    assert!(error.contains("`SpanishResponder`") && error.contains("`unmocked`"), "{error}");
    let error = classifier.words("a").await.unwrap_err().to_string();
    assert!(error.contains("`words`") && error.contains("SpanishResponderMock"), "{error}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn equal_seeds_give_equal_runs() -> Result<()> {
    async fn run(seed: u64) -> Result<Vec<String>> {
        let runtime = MockRuntime::builder().mock(SpanishResponderMock::new()).seed(seed).start();
        let classifier = runtime.run(classifier()).await?;
        let calls: Vec<_> = (0..30).map(|_| classifier.replica()).collect();
        let mut seen = vec![calls[0].request_id()];
        for call in calls {
            seen.push(call.await?);
        }
        Ok(seen)
    }
    assert_eq!(run(7).await?, run(7).await?);
    assert_ne!(run(7).await?, run(8).await?);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_unknown_mock_name_panics_at_the_end() -> Result<()> {
    let start = |name| {
        let named = SpanishResponderMock::new().named(name);
        let named = named.say_hello(|name: String| async move { name });
        MockRuntime::builder().mock(named).start()
    };
    let named = || Classifier::bind(SpanishResponder::bind().name("es"));

    let runtime = start("es");
    let front = runtime.run(named()).await?;
    assert_eq!(front.greet(Language::Spanish, "Dora").await?, "Dora");
    drop(runtime);
    let runtime = start("SpanishResponder");
    runtime.run(classifier()).await?;
    drop(runtime);

    // Nothing was deployed, so nothing is known.
    drop(start("nobody"));

    let other = SpanishResponderMock::new().say_hello(|name: String| async move { name });
    let nobody = SpanishResponderMock::new().named("nobody");
    let line = line!() - 1;
    let runtime = MockRuntime::builder().mock(other).mock(nobody).start();
    runtime.run(named()).await?;
    let told = panic_message(|| drop(runtime));
    assert!(told.starts_with("the mock of `SpanishResponder` named `nobody` (at "), "{told}");
    assert!(told.contains(&format!("{}:{line}:", file!())), "{told}");
    assert!(told.ends_with("was never used; the deployments were `Classifier`, `es`"), "{told}");
    Ok(())
}
