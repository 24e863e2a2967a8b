//! Which application and endpoint a request reaches, and with what context.
#![cfg(feature = "http")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::poll;
use serde_json::{Value, json};
use serve_core::prelude::*;
use serve_core::testing::HttpRequest;
use tokio::sync::Notify;
use tokio::time::advance;

#[deployment]
struct Where;

#[handle]
impl Where {
    fn new() -> Self {
        Self
    }

    #[get("/")]
    pub async fn root(&self) -> String {
        serve_core::context().application().to_owned()
    }

    #[get("/context/{id}")]
    pub async fn context(&self, id: u32) -> Value {
        let context = serve_core::context();
        json!({
            "id": id,
            "request": context.request_id(),
            "application": context.application(),
            "route": context.route(),
            "model": context.multiplexed_model_id(),
            "session": context.session_id(),
            "trace": context.trace(),
        })
    }

    #[post("/context/{other}")]
    pub async fn post_context(&self, other: u32) -> u32 {
        other
    }
}

#[deployment]
struct Silent;

#[handle]
impl Silent {
    fn new() -> Self {
        Self
    }

    pub async fn nothing(&self) {}
}

fn at(name: &str, prefix: &str) -> Application<Where> {
    Application::new(Where::bind()).name(name).route_prefix(prefix)
}

#[tokio::test(start_paused = true)]
async fn the_longest_prefix_wins() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    for (name, prefix) in [("root", "/"), ("a", "/a"), ("ab", "/a/b")] {
        runtime.run(at(name, prefix)).await?;
    }
    let http = runtime.http();
    for (path, application) in [
        ("/", "root"),
        ("/a", "a"),
        ("/a/", "a"),
        ("/a/b", "ab"),
        ("/?x=1", "root"),
        ("/a?x=1", "a"),
    ] {
        assert_eq!(http.get(path).await?.text().await?, application, "{path}");
    }
    let context: Value = http.get("/a/b/context/7").await?.json().await?;
    assert_eq!(context["route"], "/a/b/context/{id}");
    assert_eq!(context["application"], "ab");
    assert_eq!(http.get("/ab").await?.status(), 404);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn health_and_routes_are_served() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let http = runtime.http();
    for path in ["/-/healthz", "/-/routes"] {
        let response = http.get(path).header("accept", "text/plain").await?;
        assert_eq!(response.status(), 503, "{path}");
        assert_eq!(response.text().await?, "Route table is not populated yet.");
    }
    runtime.run(at("root", "/")).await?;
    runtime.run(at("math", "/math")).await?;
    runtime.run(Application::new(Silent::bind()).name("silent").route_prefix("/silent")).await?;
    let response = http.get("/-/healthz").await?;
    assert_eq!((response.status().as_u16(), response.text().await?.as_str()), (200, "success"));
    let routes: BTreeMap<String, String> = http.get("/-/routes").await?.json().await?;
    let expected = [("/", "root"), ("/math", "math")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(routes, BTreeMap::from(expected));
    runtime.shutdown().await;
    let response = http.get("/-/healthz").header("accept", "text/plain").await?;
    assert_eq!(response.status(), 503);
    assert_eq!(response.text().await?, "This node is being drained.");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn unknown_paths_are_404_with_the_known_routes() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let http = runtime.http();
    let nothing = http.get("/nothing").header("accept", "text/plain").await?;
    assert_eq!(nothing.status(), 404);
    assert_eq!(nothing.text().await?, "path `/nothing` not found: no application has a route");
    runtime.run(at("math", "/math")).await?;
    let nothing = http.get("/nothing").header("accept", "text/plain").await?;
    assert_eq!(nothing.status(), 404);
    assert_eq!(
        nothing.text().await?,
        "path `/nothing` not found: the route prefixes are `/math` (see /-/routes)"
    );
    let nothing = http.get("/math/nothing").header("accept", "text/plain").await?;
    assert_eq!(nothing.status(), 404);
    let text = nothing.text().await?;
    assert!(text.contains("`/math/nothing`") && text.contains("/math/docs"), "{text}");
    Ok(())
}

/// Starts once it may.
#[deployment]
struct Slow;

#[handle]
impl Slow {
    async fn new(go: Arc<Notify>) -> Result<Self> {
        go.notified().await;
        Ok(Self)
    }

    #[get("/")]
    pub async fn root(&self) -> String {
        serve_core::context().application().to_owned()
    }
}

/// Begins to deploy an application whose replica starts on notice.
async fn starting(
    runtime: &MockRuntime,
    name: &str,
    prefix: &str,
) -> (Arc<Notify>, impl Future<Output = Result<SlowHandle>>) {
    let go = Arc::new(Notify::new());
    let application = Application::new(Slow::bind(Arc::clone(&go))).name(name).route_prefix(prefix);
    let mut running = Box::pin(runtime.run(application));
    assert!(poll!(&mut running).is_pending());
    // The deploy goes on in a task of its own.
    advance(Duration::from_millis(1)).await;
    (go, async { Ok(running.await?) })
}

#[tokio::test(start_paused = true)]
async fn a_starting_application_is_503() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let http = runtime.http();
    let (go, running) = starting(&runtime, "slow", "/slow").await;
    let early = http.get("/slow/x").header("accept", "text/plain").await?;
    assert_eq!((early.status().as_u16(), early.header("retry-after")), (503, Some("1")));
    assert_eq!(early.text().await?, "application `slow` is starting; try again soon");
    assert_eq!(http.get("/other").await?.status(), 404);
    // A load balancer is not to send anything yet.
    assert_eq!(http.get("/-/healthz").await?.status(), 503);
    go.notify_one();
    running.await?;
    assert_eq!(http.get("/slow").await?.text().await?, "slow");
    assert_eq!(http.get("/-/healthz").await?.status(), 200);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_running_application_keeps_its_prefix() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let http = runtime.http();
    runtime.run(at("root", "/")).await?;
    let (_go, running) = starting(&runtime, "slow", "/context").await;
    assert_eq!(http.get("/context/7").await?.status(), 200);
    runtime.delete("root").await?;
    assert_eq!(http.get("/context/7").await?.status(), 503);
    runtime.delete("slow").await?;
    assert_eq!(http.get("/context/7").await?.status(), 404);
    assert!(running.await.is_err());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn starting_applications_cannot_share_a_prefix() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let (go, running) = starting(&runtime, "first", "/").await;
    let refused = runtime.run(at("second", "/")).await.unwrap_err().to_string();
    assert!(refused.contains("`first`"), "{refused}");
    // One without endpoints has no use for it.
    runtime.run(Application::new(Silent::bind()).name("silent")).await?;
    go.notify_one();
    running.await?;
    assert_eq!(runtime.http().get("/").await?.text().await?, "first");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_wrong_method_is_405_with_allow() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(at("root", "/")).await?;
    let http = runtime.http();
    let response = http.put("/context/7").await?;
    assert_eq!(response.status(), 405);
    assert_eq!(response.header("allow"), Some("GET,HEAD,POST"));
    assert_eq!(response.json::<Value>().await?["error"]["status"], 405);
    let options = http.request("OPTIONS", "/context/7").await?;
    assert_eq!(options.status(), 204);
    assert_eq!(options.header("allow"), Some("GET,HEAD,POST"));
    // Two names for one place in the path are no conflict.
    assert_eq!(http.post("/context/7").await?.text().await?, "7");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn head_is_get_without_the_body() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(at("root", "/")).await?;
    let response = runtime.http().request("HEAD", "/").await?;
    assert_eq!(response.status(), 200);
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(response.header("content-length"), Some("4"));
    assert_eq!(response.text().await?, "");
    for path in ["/-/healthz", "/-/routes", "/-/nowhere", "/nowhere"] {
        let id = |request: HttpRequest| request.header("x-request-id", "dora");
        let whole = id(runtime.http().get(path)).await?.text().await?;
        let answer = id(runtime.http().request("HEAD", path)).await?;
        assert_eq!(answer.header("content-length"), Some(whole.len().to_string().as_str()));
        assert_eq!(answer.text().await?, "", "HEAD {path}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn request_ids_are_kept_or_made_and_returned() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(at("root", "/")).await?;
    let http = runtime.http();
    let response = http.get("/context/1").header("X-Request-ID", "dora-1").await?;
    assert_eq!(response.header("x-request-id"), Some("dora-1"));
    assert_eq!(response.json::<Value>().await?["request"], "dora-1");
    let mut made = Vec::new();
    for path in ["/context/1", "/context/1", "/nothing", "/-/healthz", "/context/x"] {
        let response = http.get(path).await?;
        made.push(response.header("x-request-id").unwrap().to_owned());
        if path == "/context/1" {
            assert_eq!(response.json::<Value>().await?["request"], **made.last().unwrap());
        }
    }
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 5);
    let long = "x".repeat(1000);
    let response = http.get("/").header("x-request-id", long.as_str()).await?;
    assert_ne!(response.header("x-request-id"), Some(&*long));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn headers_set_model_session_and_trace() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(at("math", "/math")).await?;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = runtime
        .http()
        .get("/math/context/1")
        .header("serve_multiplexed_model_id", "m1")
        .header("Serve-Session-Id", "s1")
        .header("traceparent", trace);
    let mut context: Value = request.await?.json().await?;
    context["request"].take();
    assert_eq!(
        context,
        json!({
            "id": 1,
            "request": null,
            "application": "math",
            "route": "/math/context/{id}",
            "model": "m1",
            "session": "s1",
            "trace": trace,
        })
    );
    Ok(())
}
