//! Pages of other origins, for typed endpoints and routes alike.
#![cfg(feature = "http")]

use std::sync::Arc;

use serve_core::axum::Router;
use serve_core::axum::routing::get;
use serve_core::http::HttpOptions;
use serve_core::prelude::*;
use serve_core::testing::{HttpClient, HttpRequest, HttpResponse};

const PAGE: &str = "https://page.example";
const OTHER: &str = "https://other.example";

#[deployment]
#[derive(Default)]
struct Desk;

#[handle]
impl Desk {
    #[post("/typed")]
    pub async fn typed(&self, name: String) -> String {
        name
    }

    #[post("/form", form)]
    pub async fn form(&self, name: String) -> String {
        name
    }

    #[get("/fails")]
    pub async fn fails(&self) -> Result<()> {
        Err(Error::msg("no").with_status(409))
    }

    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        let own = || async { ([("access-control-allow-origin", "https://own.example")], "own") };
        Router::new().route("/routed", get(|| async { "routed" })).route("/own", get(own))
    }
}

#[deployment]
#[derive(Default)]
struct Typed;

#[handle]
impl Typed {
    #[post("/typed")]
    pub async fn typed(&self) {}
}

async fn served(options: HttpOptions) -> Result<(MockRuntime, HttpClient)> {
    let runtime = MockRuntime::builder().start();
    let typed = Application::new(Typed::bind()).name("typed").route_prefix("/only");
    runtime.run(typed.http_options(options.clone())).await?;
    runtime.run(Application::new(Desk::bind()).http_options(options)).await?;
    let http = runtime.http();
    Ok((runtime, http))
}

fn allowed(response: &HttpResponse) -> Option<&str> {
    response.header("access-control-allow-origin")
}

fn preflight(http: &HttpClient, path: &str, origin: &str) -> HttpRequest {
    http.request("OPTIONS", path)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-tag")
}

#[tokio::test(start_paused = true)]
async fn answers_of_every_kind_can_be_read_by_the_page() -> Result<()> {
    let (_runtime, http) = served(HttpOptions::new().cors_origins([PAGE])).await?;
    let bad = || http.post("/typed").body("{");
    let requests: [(HttpRequest, u16); 6] = [
        (http.get("/fails"), 409),
        (http.get("/routed"), 200),
        (http.get("/nowhere"), 404),
        (http.get("/openapi.json"), 200),
        (http.put("/typed").json("x"), 405),
        (bad().header("content-type", "application/json"), 400),
    ];
    for (request, status) in requests {
        let response = request.header("origin", PAGE).await?;
        assert_eq!((response.status().as_u16(), allowed(&response)), (status, Some(PAGE)));
        assert_eq!(response.header("vary"), Some("origin"));
        assert_eq!(response.header("access-control-expose-headers"), Some("x-request-id"));
        assert_eq!(response.header("access-control-allow-credentials"), None);
    }
    for origin in [OTHER, "null", "https://page.example.evil", "http://page.example"] {
        let response = http.get("/routed").header("origin", origin).await?;
        assert_eq!((response.status().as_u16(), allowed(&response)), (200, None), "{origin}");
        assert_eq!(response.header("vary"), Some("origin"));
    }
    // A router that speaks for itself is not contradicted.
    let own = http.get("/own").header("origin", PAGE).await?;
    assert_eq!(own.headers().get_all("access-control-allow-origin").iter().count(), 1);
    assert_eq!(allowed(&own), Some("https://own.example"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn preflights_are_answered_for_every_path() -> Result<()> {
    let (_runtime, http) = served(HttpOptions::new().cors_origins([PAGE])).await?;
    for (path, methods) in
        [("/only/typed", "POST"), ("/typed", "POST"), ("/routed", "POST"), ("/nowhere", "POST")]
    {
        let answer = preflight(&http, path, PAGE).await?;
        assert_eq!((answer.status().as_u16(), allowed(&answer)), (204, Some(PAGE)), "{path}");
        assert_eq!(answer.header("access-control-allow-methods"), Some(methods), "{path}");
        assert_eq!(answer.header("access-control-allow-headers"), Some("content-type,x-tag"));
        assert_eq!(answer.header("access-control-max-age"), Some("600"));
        assert!(answer.header("access-control-expose-headers").is_none());
        let refused = preflight(&http, path, OTHER).await?;
        assert_eq!((refused.status().as_u16(), allowed(&refused)), (204, None), "{path}");
        assert!(refused.header("access-control-allow-methods").is_none());
    }
    // Without the question of a browser, `OPTIONS` is what it was.
    let options = http.request("OPTIONS", "/only/typed").await?;
    assert_eq!((options.status().as_u16(), options.header("allow")), (204, Some("POST")));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn every_setting_has_its_header() -> Result<()> {
    let options = HttpOptions::new()
        .cors_origins([PAGE, OTHER])
        .cors_methods(["GET", "PUT"])
        .cors_headers(["x-a"])
        .cors_expose_headers(["x-b", "x-c"])
        .cors_credentials(true)
        .cors_max_age(std::time::Duration::from_secs(5));
    let (_runtime, http) = served(options).await?;
    let answer = preflight(&http, "/typed", OTHER).await?;
    let rows = [
        ("access-control-allow-origin", OTHER),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "x-a"),
        ("access-control-max-age", "5"),
        ("access-control-allow-credentials", "true"),
    ];
    for (name, value) in rows {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let response = http.get("/routed").header("origin", PAGE).await?;
    assert_eq!(response.header("access-control-expose-headers"), Some("x-b, x-c"));
    let (_runtime, http) = served(HttpOptions::new().cors_origins(["*"])).await?;
    let any = http.get("/routed").header("origin", OTHER).await?;
    assert_eq!((allowed(&any), any.header("vary")), (Some("*"), None));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn pages_that_are_allowed_may_send_forms() -> Result<()> {
    let send = |http: &HttpClient, origin: &str| {
        http.post("/form")
            .header("host", "here")
            .header("origin", origin)
            .header("content-type", "application/x-www-form-urlencoded")
            .body("name=a")
    };
    let (_runtime, http) = served(HttpOptions::new()).await?;
    assert_eq!(send(&http, PAGE).await?.status(), 403);
    let (_runtime, http) = served(HttpOptions::new().cors_origins([PAGE])).await?;
    assert_eq!(send(&http, PAGE).header("cookie", "a=b").await?.status(), 200);
    let other = send(&http, OTHER).await?;
    assert_eq!((other.status().as_u16(), allowed(&other)), (403, None));
    // If every page is allowed, none may use the user's cookies.
    let (_runtime, http) = served(HttpOptions::new().cors_origins(["*"])).await?;
    assert_eq!(send(&http, OTHER).await?.status(), 200);
    assert_eq!(send(&http, OTHER).header("cookie", "a=b").await?.status(), 403);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn settings_that_are_no_headers_are_refused() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let bad = [
        HttpOptions::new().cors_origins(["page.example"]),
        HttpOptions::new().cors_origins(["https://page.example/"]),
        HttpOptions::new().cors_origins(["https://*.example"]),
        HttpOptions::new().cors_methods(["GET,PUT"]),
        HttpOptions::new().cors_headers(["a\nb"]),
    ];
    for options in bad {
        let text = format!("{options:?}");
        let application = Application::new(Desk::bind()).http_options(options);
        assert!(runtime.run(application).await.is_err(), "{text}");
    }
    Ok(())
}
