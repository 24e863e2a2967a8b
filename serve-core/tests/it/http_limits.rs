//! API keys and rate limits of an application.
#![cfg(feature = "http")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serve_core::axum::Router;
use serve_core::axum::routing::get;
use serve_core::http::{HttpOptions, Rate};
use serve_core::prelude::*;
use serve_core::testing::{HttpClient, HttpRequest};
use tokio::time::advance;

use crate::support::http::{read, serving};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[deployment]
#[derive(Default)]
struct Desk;

#[handle]
impl Desk {
    #[get("/typed")]
    pub async fn typed(&self) -> String {
        "typed".to_owned()
    }

    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        Router::new().route("/routed", get(|| async { "routed" }))
    }
}

async fn served(options: HttpOptions) -> Result<(MockRuntime, HttpClient)> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Application::new(Desk::bind()).http_options(options)).await?;
    let http = runtime.http();
    Ok((runtime, http))
}

fn keyed() -> HttpOptions {
    HttpOptions::new().api_keys(["secret-one", "secret-two"])
}

fn bearer(request: HttpRequest, key: &str) -> HttpRequest {
    request.header("authorization", format!("Bearer {key}").as_str())
}

#[tokio::test(start_paused = true)]
async fn every_path_of_the_application_needs_a_key() -> Result<()> {
    let (_runtime, http) = served(keyed()).await?;
    for path in ["/typed", "/routed", "/docs", "/openapi.json", "/nowhere"] {
        let refused = http.get(path).await?;
        assert_eq!(refused.status(), 401, "{path}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        let body: Value = refused.json().await?;
        assert_eq!(body["error"]["code"], "unauthorized");
        let wrong = bearer(http.get(path), "secret-three").await?;
        assert_eq!(wrong.status(), 401, "{path}");
        assert_eq!(wrong.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
        let status = if path == "/nowhere" { 404 } else { 200 };
        assert_eq!(bearer(http.get(path), "secret-one").await?.status(), status, "{path}");
        assert_eq!(http.get(path).header("x-api-key", "secret-two").await?.status(), status);
    }
    for path in ["/-/healthz", "/-/routes"] {
        assert_eq!(http.get(path).await?.status(), 200, "{path}");
    }
    let document: Value = bearer(http.get("/openapi.json"), "secret-one").await?.json().await?;
    assert!(document["components"]["securitySchemes"]["Bearer"].is_object());
    assert!(document["paths"]["/typed"]["get"]["responses"]["401"].is_object());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_preflight_needs_no_key_and_a_refusal_can_be_read() -> Result<()> {
    let options = keyed().cors_origins(["https://page.example"]).error_format("openai");
    let (_runtime, http) = served(options.rate_limit(Rate::per_minute(1))).await?;
    for _ in 0..3 {
        let preflight = http
            .request("OPTIONS", "/typed")
            .header("origin", "https://page.example")
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization");
        let preflight = preflight.await?;
        assert_eq!(preflight.status(), 204);
        assert_eq!(preflight.header("access-control-allow-headers"), Some("authorization"));
    }
    // Without the question of a browser, a key is needed.
    assert_eq!(http.request("OPTIONS", "/typed").await?.status(), 401);
    let from_page = |request: HttpRequest| request.header("origin", "https://page.example");
    let refused = from_page(http.get("/typed")).await?;
    let origin = refused.header("access-control-allow-origin").map(str::to_owned);
    assert_eq!((refused.status().as_u16(), origin.as_deref()), (401, Some("https://page.example")));
    assert_eq!(refused.json::<Value>().await?["error"]["code"], "invalid_api_key");
    assert_eq!(bearer(http.get("/typed"), "secret-one").await?.status(), 200);
    let many = from_page(bearer(http.get("/typed"), "secret-one")).await?;
    assert_eq!(many.status(), 429);
    assert!(many.header("access-control-allow-origin").is_some());
    assert_eq!(many.json::<Value>().await?["error"]["type"], "rate_limit_error");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn keys_are_shown_nowhere() -> Result<()> {
    let options = keyed();
    let shown = format!("{options:?}");
    assert!(shown.contains("api_keys") && !shown.contains("secret"), "{shown}");
    let application = Application::new(Desk::bind()).http_options(options.clone());
    let shown = format!("{application:?}");
    assert!(!shown.contains("secret"), "{shown}");
    let (runtime, _) = served(options).await?;
    let shown = format!("{:?}", runtime.status());
    assert!(!shown.contains("secret"), "{shown}");
    let runtime = MockRuntime::builder().start();
    let application = Application::new(Desk::bind());
    let refused = application.http_options(HttpOptions::new().api_keys(["secret "]));
    let refused = runtime.run(refused).await.unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("secret "), "{refused:?}");
    let read =
        serde_json::from_value::<HttpOptions>(serde_json::json!({"api_keys": {"a": "secret"}}));
    assert!(!read.unwrap_err().to_string().contains("secret"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_key_has_its_own_rate() -> Result<()> {
    let (_runtime, http) = served(keyed().rate_limit(Rate::per_minute(2))).await?;
    let one = || bearer(http.get("/typed"), "secret-one");
    for remaining in [1, 0] {
        let response = one().await?;
        assert_eq!(response.status(), 200);
        let limit = response.header("ratelimit").unwrap_or_default();
        assert!(limit.starts_with(&format!("\"default\";r={remaining};t=")), "{limit}");
        assert_eq!(response.header("ratelimit-policy"), Some("\"default\";q=2;w=60"));
    }
    let many = one().await?;
    assert_eq!((many.status().as_u16(), many.header("retry-after")), (429, Some("30")));
    assert_eq!(many.json::<Value>().await?["error"]["code"], "rate_limited");
    assert_eq!(bearer(http.get("/routed"), "secret-two").await?.status(), 200);
    advance(Duration::from_secs(29)).await;
    assert_eq!(one().await?.status(), 429);
    advance(Duration::from_secs(1)).await;
    assert_eq!(one().await?.status(), 200);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deploy_of_another_application_forgives_nothing() -> Result<()> {
    let (runtime, http) = served(HttpOptions::new().rate_limit(Rate::per_hour(1))).await?;
    assert_eq!(http.get("/typed").await?.status(), 200);
    assert_eq!(http.get("/routed").await?.status(), 429);
    let other = Application::new(Desk::bind()).name("other").route_prefix("/other");
    runtime.run(other).await?;
    assert_eq!(http.get("/typed").await?.status(), 429);
    // The limit is that of its application alone.
    for _ in 0..3 {
        assert_eq!(http.get("/other/typed").await?.status(), 200);
    }
    Ok(())
}

#[tokio::test]
async fn each_client_address_has_its_own_rate() -> Result<()> {
    let options = HttpOptions::new().trusted_proxies(["127.0.0.1"]).rate_limit(Rate::per_hour(1));
    let (runtime, address) = serving(Desk::bind(), options).await?;
    for (client, status) in [("192.0.2.1", 200), ("192.0.2.2", 200), ("192.0.2.1", 429)] {
        let mut socket = TcpStream::connect(address).await?;
        let head =
            format!("GET /typed HTTP/1.1\r\nhost: here\r\nx-forwarded-for: {client}\r\n\r\n");
        socket.write_all(head.as_bytes()).await?;
        let answer = read(&mut socket).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{client}: {answer}");
    }
    runtime.shutdown().await;
    Ok(())
}
