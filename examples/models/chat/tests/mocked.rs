//! OpenAI's interface before a model that says what a test wants: no weights, no time passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chat::model::{Finish, Message, Piece, Role};
use chat::{Generate, GenerateError, GenerateMock, Settings, Wish, chat};
use serde_json::{Value, json};
use serve_core::futures::stream::{self, BoxStream};
use serve_core::prelude::*;
use serve_core::testing::{HttpClient, HttpResponse};
use tokio::time::{Instant, sleep};

type Pieces = BoxStream<'static, Result<Piece, GenerateError>>;

const MODEL: &str = "smollm2-135m-instruct";

async fn serving(
    answer: impl Fn(Vec<Message>, Wish) -> Pieces + Send + Sync + 'static,
) -> Result<(MockRuntime, HttpClient)> {
    serving_in(Mode::Local, answer).await
}

async fn serving_in(
    mode: Mode,
    answer: impl Fn(Vec<Message>, Wish) -> Pieces + Send + Sync + 'static,
) -> Result<(MockRuntime, HttpClient)> {
    let generate = GenerateMock::new().answer(answer);
    let runtime = MockRuntime::builder().mock(generate).mode(mode).seed(7).start();
    runtime.run(chat(Settings::default())?).await?;
    let http = runtime.http();
    Ok((runtime, http))
}

fn accepted() -> Result<Piece, GenerateError> {
    Ok(Piece::Reading { read: 0, of: 9 })
}

fn text(text: &str) -> Result<Piece, GenerateError> {
    Ok(Piece::Text(text.to_owned()))
}

fn end(finish: Finish, tokens: usize) -> Result<Piece, GenerateError> {
    Ok(Piece::End { finish, tokens })
}

fn hello(_: Vec<Message>, _: Wish) -> Pieces {
    let pieces = [
        accepted(),
        Ok(Piece::Reading { read: 9, of: 9 }),
        text("Hel"),
        text(""),
        text("lo 🎉"),
        text(""),
        end(Finish::Stop, 4),
    ];
    stream::iter(pieces).boxed()
}

/// Goes on for ever, a token each second.
fn endless() -> Pieces {
    let tokens = stream::repeat(()).then(async |()| {
        sleep(Duration::from_secs(1)).await;
        text("la ")
    });
    stream::iter([accepted()]).chain(tokens).boxed()
}

fn ask(fields: Value) -> Value {
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]});
    let Value::Object(fields) = fields else { unreachable!("tests give objects") };
    body.as_object_mut().expect("it is one").extend(fields);
    body
}

async fn complete(http: &HttpClient, fields: Value) -> Result<HttpResponse> {
    http.post("/v1/chat/completions").json(ask(fields)).await
}

/// The data of each event.
fn events(body: &str) -> Vec<Value> {
    let events = body.split_terminator("\n\n").map(|event| {
        let data = event.strip_prefix("data: ").expect("an event is one line of data");
        assert!(!data.contains('\n'), "{data}");
        serde_json::from_str(data).unwrap_or_else(|_| json!(data))
    });
    events.collect()
}

/// That it is an error in OpenAI's form.
async fn refused(response: HttpResponse, status: u16, code: &str) -> Result<Value> {
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.header("content-type"), Some("application/json"));
    let body: Value = response.json().await?;
    let error = body["error"].as_object().expect("the form of an error");
    let keys: Vec<_> = error.keys().map(String::as_str).collect();
    assert_eq!(keys, ["code", "message", "param", "type"]);
    assert_eq!(error["code"], code, "{body}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
    Ok(body["error"].clone())
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_says_how_many_tokens_it_took() -> Result<()> {
    for mode in [Mode::Local, Mode::Wire] {
        let (_runtime, http) = serving_in(mode, hello).await?;
        let response = complete(&http, json!({})).await?;
        assert_eq!(response.status(), 200);
        let mut answer: Value = response.json().await?;
        let id = answer["id"].take();
        assert!(id.as_str().is_some_and(|id| id.starts_with("chatcmpl-")), "{id}");
        assert!(answer["created"].take().as_u64().is_some_and(|at| at > 1_700_000_000));
        assert_eq!(
            answer,
            json!({
                "id": null, "object": "chat.completion", "created": null, "model": MODEL,
                "choices": [{
                    "index": 0,
                    "message": {"role": "assistant", "content": "Hello 🎉", "refusal": null},
                    "logprobs": null,
                    "finish_reason": "stop",
                }],
                "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
            })
        );
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_who_speaks_then_what_then_why_it_ended() -> Result<()> {
    let (_runtime, http) = serving(hello).await?;
    let response = complete(&http, json!({"stream": true})).await?;
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    let events = events(&response.text().await?);
    let [first, hel, lo, last, done] = &events[..] else { panic!("{events:?}") };
    let choice = |event: &Value| event["choices"][0].clone();
    let delta = |delta: Value, finish: Value| json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
    let nothing = Value::Null;
    assert_eq!(choice(first), delta(json!({"role": "assistant", "content": ""}), nothing.clone()));
    assert_eq!(choice(hel), delta(json!({"content": "Hel"}), nothing.clone()));
    assert_eq!(choice(lo), delta(json!({"content": "lo 🎉"}), nothing));
    assert_eq!(choice(last), delta(json!({}), json!("stop")));
    assert_eq!(*done, "[DONE]");
    for event in &events[..4] {
        assert_eq!(event["id"], first["id"]);
        assert_eq!(event["object"], "chat.completion.chunk");
        assert_eq!(event.get("usage"), None, "it was not asked for");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_the_usage_if_that_is_asked_for() -> Result<()> {
    let (_runtime, http) = serving(hello).await?;
    let fields = json!({"stream": true, "stream_options": {"include_usage": true}});
    let events = events(&complete(&http, fields).await?.text().await?);
    let [.., last, usage, done] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&last["choices"][0]["finish_reason"], done), (&json!("stop"), &json!("[DONE]")));
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["total_tokens"], 13);
    let others = &events[..events.len() - 2];
    assert!(others.iter().all(|event| event.get("usage") == Some(&Value::Null)));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_model_is_told_what_was_asked() -> Result<()> {
    let (runtime, http) = serving(|messages, wish| {
        let model = context().multiplexed_model_id().map(str::to_owned);
        let says = format!("{model:?} {} {:?} {}", messages.len(), wish.max_tokens, wish.seed);
        stream::iter([accepted(), text(&says), end(Finish::Length, 1)]).boxed()
    })
    .await?;
    let fields = json!({
        "model": "smollm2-135m-brief",
        "messages": [
            {"role": "system", "content": "Rhyme."},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        ],
        "max_tokens": 3,
        "seed": 11,
    });
    let answer: Value = complete(&http, fields).await?.json().await?;
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["content"], r#"Some("smollm2-135m-brief") 2 Some(3) 11"#);
    assert_eq!(choice["finish_reason"], "length");
    let calls = runtime.calls::<Generate>();
    assert_eq!(calls, ["answer"]);
    let said = &calls[0].arguments().expect("they are kept")["messages"];
    let rhyme = Message { role: Role::System, text: "Rhyme.".to_owned() };
    assert_eq!(said[0], serde_json::to_value(rhyme)?);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn models_are_listed_and_shown() -> Result<()> {
    let (_runtime, http) = serving(hello).await?;
    let models: Value = http.get("/v1/models").await?.json().await?;
    assert_eq!(models["object"], "list");
    let ids: Vec<_> = models["data"].as_array().expect("a list").iter().map(|m| &m["id"]).collect();
    assert_eq!(ids, [MODEL, "smollm2-135m-brief"]);
    let model: Value = http.get(format!("/v1/models/{MODEL}")).await?.json().await?;
    assert_eq!((&model["id"], &model["object"]), (&json!(MODEL), &json!("model")));
    refused(http.get("/v1/models/gpt-4o").await?, 404, "model_not_found").await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_said_before_the_model_is_asked() -> Result<()> {
    let (runtime, http) = serving(hello).await?;
    let unknown = complete(&http, json!({"model": "gpt-4o"})).await?;
    assert_eq!(refused(unknown, 404, "model_not_found").await?["param"], "model");
    let hot = complete(&http, json!({"temperature": "hot", "stream": true})).await?;
    assert_eq!(refused(hot, 400, "invalid_type").await?["param"], "temperature");
    let two = complete(&http, json!({"n": 2})).await?;
    assert_eq!(refused(two, 400, "unsupported_value").await?["type"], "invalid_request_error");
    let completions = "/v1/chat/completions";
    refused(http.post(completions).body("{").await?, 400, "invalid_json").await?;
    refused(http.post(completions).await?, 400, "invalid_json").await?;
    refused(http.post(completions).body(vec![b' '; 2 << 20]).await?, 413, "invalid_body").await?;
    assert_eq!(runtime.calls::<Generate>(), [""; 0]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_an_error_says_so_in_the_same_form() -> Result<()> {
    let (_runtime, http) = serving(hello).await?;
    refused(http.post("/v1/embeddings").json(json!({})).await?, 404, "unknown_url").await?;
    let wrong = http.get("/v1/chat/completions").await?;
    assert_eq!(wrong.header("allow"), Some("POST"));
    refused(wrong, 405, "method_not_allowed").await?;
    let page = http.get("/").await?;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_is_too_long_is_a_400_even_for_a_stream() -> Result<()> {
    let (_runtime, http) = serving(|_, _| {
        let error = GenerateError::TooLong { context: 4_096, prompt: 5_000, answer: 1 };
        stream::iter([Err(error)]).boxed()
    })
    .await?;
    for stream in [false, true] {
        let response = complete(&http, json!({"stream": stream})).await?;
        let error = refused(response, 400, "context_length_exceeded").await?;
        assert!(error["message"].as_str().is_some_and(|m| m.contains("5001 tokens")), "{error}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_the_middle_ends_a_stream_with_an_error() -> Result<()> {
    let failing = |_, _| {
        let error = GenerateError::Failed("at tensor 7".to_owned());
        stream::iter([accepted(), text("Hel"), Err(error)]).boxed()
    };
    let (_runtime, http) = serving(failing).await?;
    let body = complete(&http, json!({"stream": true})).await?.text().await?;
    let events = events(&body);
    let [_, _, error] = &events[..] else { panic!("{events:?}") };
    assert_eq!(error["error"]["code"], "server_error");
    assert!(!body.contains("[DONE]") && !body.contains("tensor"), "{body}");
    refused(complete(&http, json!({})).await?, 500, "server_error").await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_answer_and_is_said() -> Result<()> {
    let (_runtime, http) = serving(|_, _| endless()).await?;
    let within = async |stream: bool| -> Result<HttpResponse> {
        let request = http.post("/v1/chat/completions").json(ask(json!({"stream": stream})));
        request.header("X-Request-Timeout-Seconds", "3.5").await
    };
    let began = Instant::now();
    let whole = within(false).await?;
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!(whole.header("x-should-retry"), Some("false"));
    refused(whole, 408, "deadline_exceeded").await?;
    let events = events(&within(true).await?.text().await?);
    let [_, tokens @ .., error] = &events[..] else { panic!("{events:?}") };
    assert_eq!((tokens.len(), &error["error"]["code"]), (3, &json!("deadline_exceeded")));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_of_its_own_an_answer_has_that_of_the_deployment() -> Result<()> {
    let (_runtime, http) = serving(|_, _| endless()).await?;
    let began = Instant::now();
    refused(complete(&http, json!({})).await?, 408, "deadline_exceeded").await?;
    assert_eq!(began.elapsed().as_secs(), 300);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_ends_the_answer() -> Result<()> {
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let (_runtime, http) = serving(move |_, _| {
        let made = Arc::clone(&counted);
        endless()
            .inspect(move |_| {
                made.fetch_add(1, Ordering::SeqCst);
            })
            .boxed()
    })
    .await?;
    for stream in [true, false] {
        made.store(0, Ordering::SeqCst);
        let answer = async { complete(&http, json!({"stream": stream})).await?.text().await };
        tokio::time::timeout(Duration::from_millis(4_500), answer).await.expect_err("it goes on");
        let before = made.load(Ordering::SeqCst);
        assert_eq!(before, 5, "the first piece, and four tokens");
        sleep(Duration::from_secs(60)).await;
        assert!(made.load(Ordering::SeqCst) <= before + 1);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn answers_are_made_one_at_a_time_in_the_order_of_their_requests() -> Result<()> {
    let (_runtime, http) = serving(|messages, _| {
        let slow = stream::once(async move {
            sleep(Duration::from_secs(10)).await;
            text(&messages[0].text)
        });
        let (first, last) = (stream::iter([accepted()]), stream::iter([end(Finish::Stop, 1)]));
        first.chain(slow).chain(last).boxed()
    })
    .await?;
    let began = Instant::now();
    let asked = (1..=3).map(|n| {
        let http = http.clone();
        let fields = json!({"messages": [{"role": "user", "content": n.to_string()}]});
        async move {
            let answer: Value = complete(&http, fields).await?.json().await?;
            assert_eq!(answer["choices"][0]["message"]["content"], n.to_string());
            Ok::<_, Error>(began.elapsed().as_secs())
        }
    });
    let ended = serve_core::futures::future::try_join_all(asked).await?;
    assert_eq!(ended, [10, 20, 30]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn more_than_may_wait_are_told_to_come_back() -> Result<()> {
    let (_runtime, http) = serving(|_, _| endless()).await?;
    let waiting: Vec<_> = (0..33)
        .map(|_| {
            let http = http.clone();
            tokio::spawn(async move { complete(&http, json!({})).await })
        })
        .collect();
    sleep(Duration::from_millis(1)).await;
    let response = complete(&http, json!({"stream": true})).await?;
    let after = response.header("retry-after").and_then(|after| after.parse::<u64>().ok());
    assert!(after.is_some_and(|seconds| seconds >= 1), "{after:?}");
    let error = refused(response, 503, "overloaded").await?;
    assert_eq!(error["type"], "server_error");
    for request in waiting {
        request.abort();
    }
    Ok(())
}
