//! Streams of `Event`s: what each format sends of them, and how a client resumes.
#![cfg(feature = "http")]

use std::time::Duration;

use serde_json::{Value, json};
use serve_core::http::{Event, Reply};
use serve_core::prelude::*;
use serve_core::testing::{HttpClient, Mode};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Token {
    text: String,
}

#[deployment]
#[derive(Default)]
struct Model;

fn tokens(from: usize) -> impl Iterator<Item = Event<Token>> {
    let texts = ["a", "b\nc", "d"].into_iter().enumerate().skip(from);
    texts.map(|(number, text)| {
        let event = Event::new(Token { text: text.to_owned() }).id(number);
        if number == 1 { event.name("token").retry(Duration::from_secs(3)) } else { event }
    })
}

#[handle]
impl Model {
    /// The tokens after the last that the client has; an error in the end, if it is wanted.
    #[get("/tokens", header = last_event_id)]
    pub fn tokens(
        &self,
        last_event_id: Option<usize>,
        fails: Option<bool>,
    ) -> impl Stream<Item = Result<Event<Token>>> {
        let from = last_event_id.map_or(0, |last| last + 1);
        let failure =
            fails.unwrap_or_default().then(|| Err(Error::msg("no more").with_status(503)));
        futures::stream::iter(tokens(from).map(Ok).chain(failure))
    }

    #[get("/words")]
    pub fn words(&self) -> impl Stream<Item = Event<String>> {
        futures::stream::iter([Event::new("x y".to_owned()).id("7"), "z".to_owned().into()])
    }

    #[get("/broken")]
    pub fn broken(&self, good: usize) -> impl Stream<Item = Event<u8>> {
        let bad = Event::new(9).id("1\ndata: injected");
        futures::stream::iter((0..good).map(|_| Event::new(1)).chain([bad]))
    }

    /// Items that could have headers elsewhere.
    #[get("/replies")]
    pub fn replies(&self) -> impl Stream<Item = Reply<u8>> {
        futures::stream::iter([Reply::new(1).status(201), Reply::new(2)])
    }

    /// One event, which is its data.
    #[get("/one")]
    pub async fn one(&self) -> Event<u8> {
        Event::new(7).id("1")
    }
}

async fn model(mode: Mode) -> Result<(MockRuntime, ModelHandle, HttpClient)> {
    let runtime = MockRuntime::builder().mode(mode).start();
    let handle = runtime.run(Model::bind()).await?;
    let http = runtime.http();
    Ok((runtime, handle, http))
}

async fn sent(http: &HttpClient, path: &str, accept: &str) -> Result<String> {
    http.get(path).header("accept", accept).await?.text().await
}

#[tokio::test(start_paused = true)]
async fn only_server_sent_events_have_more_than_the_data() -> Result<()> {
    for mode in [Mode::Local, Mode::Wire] {
        let (_runtime, _, http) = model(mode).await?;
        assert_eq!(
            sent(&http, "/tokens", "text/event-stream").await?,
            "id: 0\ndata: {\"text\":\"a\"}\n\n\
             event: token\nid: 1\nretry: 3000\ndata: {\"text\":\"b\\nc\"}\n\n\
             id: 2\ndata: {\"text\":\"d\"}\n\n"
        );
        let lines = "{\"text\":\"a\"}\n{\"text\":\"b\\nc\"}\n{\"text\":\"d\"}\n";
        assert_eq!(sent(&http, "/tokens", "application/x-ndjson").await?, lines);
        assert_eq!(sent(&http, "/tokens", "*/*").await?, lines);
        let array: Vec<Token> =
            serde_json::from_str(&sent(&http, "/tokens", "application/json").await?)?;
        assert_eq!(array, tokens(0).map(|event| event.data).collect::<Vec<_>>());
        let words = sent(&http, "/words", "text/event-stream").await?;
        assert_eq!(words, "id: 7\ndata: x y\n\ndata: z\n\n");
        assert_eq!(sent(&http, "/words", "*/*").await?, "x yz");
        assert_eq!(sent(&http, "/one", "*/*").await?, "7");
        assert_eq!(sent(&http, "/replies", "*/*").await?, "1\n2\n");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_client_that_lost_its_connection_goes_on_after_its_last_event() -> Result<()> {
    let (_runtime, _, http) = model(Mode::Local).await?;
    let ask = || http.get("/tokens").header("accept", "text/event-stream");
    let first: Vec<_> = ask().await?.chunks().take(1).try_collect().await?;
    let id = String::from_utf8_lossy(&first[0]).lines().next().unwrap()["id: ".len()..].to_owned();
    let rest = ask().header("last-event-id", id).await?.text().await?;
    assert!(
        rest.starts_with("event: token\nid: 1\n") && rest.ends_with("{\"text\":\"d\"}\n\n"),
        "{rest}"
    );
    assert_eq!(ask().header("last-event-id", "x").await?.status(), 422);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_error_ends_the_events() -> Result<()> {
    let (_runtime, _, http) = model(Mode::Local).await?;
    let events = sent(&http, "/tokens?fails", "text/event-stream").await?;
    let (_, last) = events.trim_end().rsplit_once("\n\n").unwrap();
    assert!(last.starts_with("event: error\ndata: {") && last.contains("no more"), "{last}");
    // A line break in an id would begin another field.
    assert_eq!(
        http.get("/broken?good=0").header("accept", "text/event-stream").await?.status(),
        500
    );
    let events = sent(&http, "/broken?good=1", "text/event-stream").await?;
    assert!(events.starts_with("data: 1\n\nevent: error\n"), "{events}");
    assert!(!events.contains("injected"), "{events}");
    assert_eq!(sent(&http, "/broken?good=1", "*/*").await?, "1\n9\n", "the data can be sent");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_handle_returns_events() -> Result<()> {
    let (_runtime, handle, _) = model(Mode::Wire).await?;
    let events: Vec<Event<Token>> = handle.tokens(Some(0), None).try_collect().await?;
    assert_eq!(events, tokens(1).collect::<Vec<_>>());
    assert_eq!((events[0].id.as_deref(), events[0].name.as_deref()), (Some("1"), Some("token")));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_description_is_that_of_the_data() -> Result<()> {
    let (_runtime, _, http) = model(Mode::Local).await?;
    let document: Value = http.get("/openapi.json").await?.json().await?;
    let content = |path: &str| &document["paths"][path]["get"]["responses"]["200"]["content"];
    let token = json!({ "$ref": "#/components/schemas/Token" });
    assert_eq!(content("/tokens")["application/x-ndjson"]["schema"], token);
    assert_eq!(content("/tokens")["application/json"]["schema"]["items"], token);
    assert!(content("/tokens")["text/event-stream"].is_object());
    assert_eq!(content("/words")["text/plain; charset=utf-8"]["schema"]["type"], "string");
    Ok(())
}
