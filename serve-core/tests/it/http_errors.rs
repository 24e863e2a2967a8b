//! Errors have one form, which the client and the application decide.
#![cfg(feature = "http")]

use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use serve_core::axum::Router;
use serve_core::axum::http::StatusCode;
use serve_core::axum::response::{IntoResponse, Response};
use serve_core::axum::routing::get;
use serve_core::futures::stream;
use serve_core::http::{HttpError, HttpOptions, register_error_format};
use serve_core::prelude::*;
use serve_core::testing::{HttpClient, HttpResponse};
use tokio::time::sleep;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[deployment(max_ongoing_requests = 1, max_queued_requests = 0)]
#[derive(Default)]
struct Desk;

#[handle]
impl Desk {
    #[post("/greet")]
    pub async fn greet(&self, name: String) -> String {
        name
    }

    #[get("/missing")]
    pub async fn missing(&self) -> Result<String> {
        Err(Error::msg("no such paper").with_status(404))
    }

    #[get("/broken")]
    pub async fn broken(&self) -> Result<String> {
        Err(Error::msg("secret"))
    }

    #[get("/slow")]
    pub async fn slow(&self) {
        sleep(Duration::from_secs(60)).await;
    }

    #[get("/count")]
    pub fn count(&self) -> impl Stream<Item = Result<u32>> {
        stream::iter([Ok(1), Err(Error::msg("no more\nof them").with_status(409))])
    }
}

async fn served(options: HttpOptions) -> Result<(MockRuntime, HttpClient)> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Application::new(Desk::bind()).route_prefix("/desk").http_options(options)).await?;
    let http = runtime.http();
    Ok((runtime, http))
}

fn format(name: &str) -> HttpOptions {
    HttpOptions::new().error_format(name)
}

/// A response of each kind of error, with the expected status and code.
async fn errors(
    http: &HttpClient,
    accept: &str,
) -> Result<Vec<(HttpResponse, u16, Option<&'static str>)>> {
    let get = |path: &str| http.get(path).header("accept", accept);
    let post = |path: &str| http.post(path).header("accept", accept);
    let held = tokio::spawn(get("/desk/slow").send());
    sleep(Duration::from_millis(1)).await;
    let overloaded = get("/desk/slow").await?;
    held.abort();
    let _ = held.await;
    Ok(vec![
        (overloaded, 503, Some("overloaded")),
        (get("/nowhere").await?, 404, Some("not_found")),
        (get("/-/nowhere").await?, 404, Some("not_found")),
        (get("/desk/nowhere").await?, 404, Some("not_found")),
        (get("/desk/greet").await?, 405, Some("method_not_allowed")),
        (get("/desk/missing").await?, 404, None),
        (get("/desk/broken").await?, 500, Some("internal")),
        (
            get("/desk/slow").header("x-request-timeout-seconds", "1").await?,
            408,
            Some("deadline_exceeded"),
        ),
        (post("/desk/greet").body("{").await?, 400, Some("invalid_json")),
        (post("/desk/greet").json(json!({"name": 1})).await?, 422, Some("invalid_input")),
        (
            post("/desk/greet").header("content-type", "text/csv").body("a").await?,
            415,
            Some("unsupported_media_type"),
        ),
        (post("/desk/greet").body(vec![b' '; 3 << 20]).await?, 413, Some("body_too_large")),
        (
            post("/desk/greet").header("origin", "https://evil.example").body("a").await?,
            403,
            Some("foreign_origin"),
        ),
    ])
}

#[tokio::test(start_paused = true)]
async fn every_error_is_json_with_the_request_id() -> Result<()> {
    let (_runtime, http) = served(HttpOptions::new()).await?;
    for accept in ["*/*", "application/json, text/plain, */*", "text/event-stream"] {
        for (response, status, code) in errors(&http, accept).await? {
            assert_eq!(response.status(), status, "{accept} {code:?}");
            assert_eq!(response.header("content-type"), Some("application/json"), "{code:?}");
            let id = response.header("x-request-id").unwrap_or_default().to_owned();
            let (allow, retry) =
                (response.header("allow").is_some(), response.header("retry-after"));
            assert_eq!((allow, retry.is_some()), (status == 405, status == 503));
            let body: Value = response.json().await?;
            let error = body["error"].as_object().expect("an object");
            assert_eq!(error["status"], status);
            assert_eq!(error.get("code").and_then(Value::as_str), code);
            assert_eq!(error["request_id"], id);
            assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()));
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn people_receive_the_message_as_text() -> Result<()> {
    let (_runtime, http) = served(format("openai")).await?;
    for accept in [BROWSER, "text/plain"] {
        for (response, status, _) in errors(&http, accept).await? {
            assert_eq!(response.status(), status, "{accept}");
            assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
            assert!(!response.text().await?.contains('{'));
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn openai_clients_read_errors() -> Result<()> {
    let (_runtime, http) = served(format("openai")).await?;
    for (response, status, code) in errors(&http, "application/json").await? {
        let of_application = code != Some("not_found") || status != 404;
        let body: Value = response.json().await?;
        let error = &body["error"];
        if !of_application {
            continue;
        }
        let kind = match status {
            403 => "permission_error",
            500 => "server_error",
            503 => "service_unavailable_error",
            _ => "invalid_request_error",
        };
        assert_eq!(error["type"], kind, "{error}");
        assert_eq!(error["code"].as_str(), code);
        assert_eq!(error["param"], if status == 422 { json!("name") } else { Value::Null });
        assert_eq!(error.as_object().map(|error| error.len()), Some(4));
    }
    let events = http.get("/desk/count").header("accept", "text/event-stream").await?;
    let events = events.text().await?;
    let event = events.strip_prefix("data: 1\n\nevent: error\ndata: ").expect("an event");
    let error: Value = serde_json::from_str(event.trim_end())?;
    assert_eq!(error["error"]["message"], "no more\nof them");
    assert_eq!(error["error"]["type"], "invalid_request_error");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn problem_details_are_those_of_the_rfc() -> Result<()> {
    let (_runtime, http) = served(format("problem")).await?;
    let request = http.post("/desk/greet").header("x-request-id", "dora");
    let response = request.json(json!({"name": 1})).await?;
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    assert_eq!(
        response.json::<Value>().await?,
        json!({
            "type": "about:blank",
            "title": "Unprocessable Entity",
            "status": 422,
            "detail": "invalid type: integer `1`, expected a string",
            "code": "invalid_input",
            "field": "name",
            "in": "body",
            "request_id": "dora",
        })
    );
    let description: Value = http.get("/desk/openapi.json").await?.json().await?;
    let content = &description["paths"]["/greet"]["post"]["responses"]["422"]["content"];
    assert!(content["application/problem+json"].is_object(), "{content}");
    Ok(())
}

fn mine(error: &HttpError) -> Response {
    let text = format!("{} {:?} {}", error.status(), error.code(), error.request_id());
    (StatusCode::IM_A_TEAPOT, [("x-shape", "mine"), ("allow", "nothing")], text).into_response()
}

fn breaks(_: &HttpError) -> Response {
    panic!("in the form")
}

register_error_format!("mine", mine);
register_error_format!("breaks", breaks);

#[tokio::test(start_paused = true)]
async fn an_application_shapes_all_of_its_errors() -> Result<()> {
    let (_runtime, http) = served(format("mine")).await?;
    let late = http.get("/desk/slow").header("x-request-id", "dora");
    let late = late.header("x-request-timeout-seconds", "1").await?;
    assert_eq!((late.status().as_u16(), late.header("x-shape")), (418, Some("mine")));
    assert_eq!(late.header("x-request-id"), Some("dora"));
    let text = late.text().await?;
    assert_eq!(text, "408 Request Timeout Some(\"deadline_exceeded\") dora");
    // The form's own headers win, and those of the error are added.
    let wrong = http.get("/desk/greet").await?;
    assert_eq!(wrong.header("allow"), Some("nothing"));
    // Those of no application have the form of the port.
    assert_eq!(http.get("/nowhere").await?.status(), 404);
    // A form without JSON is no form for a stream.
    let lines = http.get("/desk/count").await?.text().await?;
    let error: Value = serde_json::from_str(lines.strip_prefix("1\n").unwrap_or_default())?;
    assert_eq!(error["error"]["status"], 409);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_form_that_panics_is_replaced() -> Result<()> {
    let (_runtime, http) = served(format("breaks")).await?;
    let missing = http.get("/desk/missing").await?;
    assert_eq!(missing.status(), 404);
    assert_eq!(missing.json::<Value>().await?["error"]["message"], "no such paper");
    let chunks: Vec<_> = http.get("/desk/count").await?.chunks().collect().await;
    assert!(chunks.iter().all(Result::is_ok), "{chunks:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_ports_form_is_the_default_of_all() -> Result<()> {
    let runtime = MockRuntime::builder().http_options(format("problem")).start();
    let early = runtime.http().get("/-/healthz").await?;
    assert_eq!(early.header("content-type"), Some("application/problem+json"));
    runtime.run(Desk::bind()).await?;
    let missing = runtime.http().get("/missing").await?;
    assert_eq!(missing.header("content-type"), Some("application/problem+json"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_unknown_form_is_refused_with_the_known_ones() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let application = Application::new(Desk::bind()).http_options(format("mien"));
    let refused = runtime.run(application).await.unwrap_err().to_string();
    for part in ["`mien`", "`serve`", "`openai`", "`problem`", "`mine`", "register_error_format!"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    Ok(())
}

#[deployment]
#[derive(Default)]
struct Site;

#[handle]
impl Site {
    #[routes]
    pub fn routes(self: std::sync::Arc<Self>) -> Router {
        Router::new()
            .route("/own", get(|| async { (StatusCode::NOT_FOUND, "my own") }))
            .route("/bare", get(|| async { StatusCode::NOT_FOUND }))
            .route("/error", get(|| async { HttpError::new(409, "taken").with_code("taken") }))
            .layer(serve_core::axum::middleware::map_response(
                |mut response: Response| async move {
                    response.headers_mut().insert("x-layer", "1".parse().unwrap());
                    response
                },
            ))
    }
}

#[tokio::test(start_paused = true)]
async fn routes_keep_their_answers_except_for_what_no_route_has() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Site::bind()).await?;
    let http = runtime.http();
    assert_eq!(http.get("/own").await?.text().await?, "my own");
    assert_eq!(http.get("/bare").await?.text().await?, "");
    let nowhere = http.get("/nowhere").await?;
    assert_eq!((nowhere.status().as_u16(), nowhere.header("x-layer")), (404, Some("1")));
    assert_eq!(nowhere.json::<Value>().await?["error"]["code"], "not_found");
    let wrong = http.post("/own").await?;
    assert_eq!((wrong.status().as_u16(), wrong.header("allow")), (405, Some("GET,HEAD")));
    assert_eq!(wrong.json::<Value>().await?["error"]["code"], "method_not_allowed");
    let error = http.get("/error").header("x-request-id", "dora").await?;
    assert_eq!((error.status().as_u16(), error.header("x-layer")), (409, Some("1")));
    let expected = json!({"error": {
        "status": 409, "code": "taken", "message": "taken", "request_id": "dora",
    }});
    assert_eq!(error.json::<Value>().await?, expected);
    Ok(())
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Taken;

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("taken")
    }
}

impl HttpStatus for Taken {
    fn status(&self) -> u16 {
        409
    }

    fn statuses() -> &'static [(u16, &'static str)] {
        &[(409, "The paper is there already."), (503, "The shelf is closed.")]
    }
}

#[deployment]
#[derive(Default)]
struct Shelf;

#[handle]
impl Shelf {
    #[post("/papers", status = 201)]
    pub async fn put(&self) -> Result<u32, Taken> {
        Err(Taken)
    }

    #[post("/others")]
    pub async fn other(&self) -> Result<u32> {
        Ok(1)
    }
}

#[tokio::test(start_paused = true)]
async fn error_types_list_their_statuses() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Shelf::bind()).await?;
    let http = runtime.http();
    assert_eq!(http.post("/papers").await?.status(), 409);
    let document: Value = http.get("/openapi.json").await?.json().await?;
    let responses = &document["paths"]["/papers"]["post"]["responses"];
    assert_eq!(responses["409"]["description"], "The paper is there already.");
    let both = responses["503"]["description"].as_str().unwrap_or_default();
    assert!(both.contains("Overloaded") && both.contains("The shelf is closed."), "{both}");
    assert!(responses["201"].is_object() && responses.get("200").is_none());
    assert!(responses.get("default").is_none());
    assert!(document["paths"]["/others"]["post"]["responses"]["default"].is_object());
    Ok(())
}
