//! `#[routes]`: requests to a custom axum router are served like calls.
#![cfg(feature = "http")]

use crate::support::gauges::Gauge;
use crate::support::status::load;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use serve_core::axum::extract::{OriginalUri, Path, State};
use serve_core::axum::response::IntoResponse;
use serve_core::axum::routing::{get, post};
use serve_core::axum::{Json, Router, body::Body};
use serve_core::prelude::*;
use tokio::time::sleep;

#[derive(Default)]
struct Counts {
    made: AtomicUsize,
    alive: Gauge,
    dropped: AtomicUsize,
}

#[deployment]
struct Echo;

#[handle]
impl Echo {
    fn new() -> Self {
        Self
    }

    pub async fn request_id(&self) -> String {
        serve_core::context().request_id().to_owned()
    }
}

#[deployment(max_ongoing_requests = 1, max_queued_requests = 1)]
struct Site {
    echo: EchoHandle,
    counts: Arc<Counts>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.counts.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

#[handle]
impl Site {
    fn new(echo: EchoHandle, counts: Arc<Counts>) -> Self {
        Self { echo, counts }
    }

    #[get("/typed")]
    pub async fn typed(&self) -> String {
        "typed".to_owned()
    }

    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        self.counts.made.fetch_add(1, Ordering::SeqCst);
        Router::new()
            .route("/typed", get(async || "routed").post(async || "posted"))
            .route("/docs", get(async || "my docs"))
            .route("/items/{id}", get(item))
            .route("/slow", get(slow))
            .route("/body", get(body))
            .route("/panic", get(panic))
            .route("/echo", post(async |body: String| body))
            .nest("/deep", Router::new().route("/{name}", get(item_route)))
            .with_state(self)
    }
}

async fn item(
    State(site): State<Arc<Site>>,
    Path(id): Path<u32>,
    OriginalUri(original): OriginalUri,
) -> Json<Value> {
    let context = serve_core::context();
    Json(json!({
        "id": id,
        "original": original.path(),
        "route": context.route(),
        "request": context.request_id(),
        "called": site.echo.request_id().await.unwrap(),
        "replica": serve_core::replica_context().map(|replica| replica.deployment().to_owned()),
    }))
}

async fn item_route() -> String {
    serve_core::context().route().unwrap_or_default().to_owned()
}

async fn slow(State(site): State<Arc<Site>>) -> &'static str {
    let _alive = site.counts.alive.enter();
    sleep(Duration::from_secs(10)).await;
    "slow"
}

/// Three chunks, each a second after the other, which know whose request they serve.
async fn body(State(site): State<Arc<Site>>) -> impl IntoResponse {
    let alive = site.counts.alive.enter();
    let chunks = futures::stream::unfold((0, site, alive), |(at, site, alive)| async move {
        if at == 3 {
            return None;
        }
        sleep(Duration::from_secs(1)).await;
        let id = site.echo.request_id().await.unwrap();
        Some((Ok::<_, std::io::Error>(format!("{id}\n")), (at + 1, site, alive)))
    });
    Body::from_stream(chunks)
}

async fn panic() {
    panic!("secret");
}

async fn site(prefix: &str) -> Result<(MockRuntime, Arc<Counts>)> {
    let counts = Arc::<Counts>::default();
    let runtime = MockRuntime::builder().start();
    let bound = Site::bind(Echo::bind(), Arc::clone(&counts));
    runtime.run(Application::new(bound).route_prefix(prefix)).await?;
    Ok((runtime, counts))
}

#[tokio::test(start_paused = true)]
async fn requests_have_a_context() -> Result<()> {
    let (runtime, counts) = site("/site").await?;
    let http = runtime.http();
    for _ in 0..2 {
        let response = http.get("/site/items/7?x=1").header("x-request-id", "dora").await?;
        assert_eq!(response.header("x-request-id"), Some("dora"));
        assert_eq!(
            response.json::<Value>().await?,
            json!({
                "id": 7,
                "original": "/site/items/7",
                "route": "/site/items/{id}",
                "request": "dora",
                "called": "dora",
                "replica": "Site",
            })
        );
    }
    assert_eq!(http.get("/site/deep/x").await?.text().await?, "/site/deep/{name}");
    assert_eq!(http.post("/site/echo").body("a body").await?.text().await?, "a body");
    assert_eq!(counts.made.load(Ordering::SeqCst), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn typed_endpoints_win_over_routes() -> Result<()> {
    let (runtime, _) = site("/").await?;
    let http = runtime.http();
    assert_eq!(http.get("/typed").await?.text().await?, "typed");
    assert_eq!(http.post("/typed").await?.text().await?, "posted");
    let neither = http.delete("/typed").await?;
    assert_eq!((neither.status().as_u16(), neither.header("allow")), (405, Some("GET,HEAD")));
    assert_eq!(http.get("/docs").await?.text().await?, "my docs");
    assert!(http.get("/openapi.json").await?.text().await?.contains("/typed"));
    assert_eq!(http.get("/nothing").await?.status(), 404);
    assert_eq!(http.delete("/items/7").await?.status(), 405);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_request_holds_its_slot_until_its_body_ends() -> Result<()> {
    let (runtime, counts) = site("/").await?;
    let http = runtime.http();
    let mut chunks = http.get("/body").header("x-request-id", "dora").await?.chunks();
    assert_eq!(chunks.next().await.unwrap()?, "dora\n");
    // One slot and one place in the queue.
    let began = tokio::time::Instant::now();
    let waiting = tokio::spawn(http.get("/typed").into_future());
    sleep(Duration::from_millis(10)).await;
    let refused = http.get("/items/7").await?;
    assert_eq!((refused.status().as_u16(), refused.header("retry-after")), (503, Some("1")));
    let rest: Vec<_> = chunks.map(|chunk| chunk.unwrap()).collect().await;
    assert_eq!(rest, ["dora\n", "dora\n"]);
    assert_eq!(waiting.await.unwrap()?.text().await?, "typed");
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    assert_eq!(counts.alive.now(), 0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn dropping_a_request_frees_its_place() -> Result<()> {
    let (runtime, counts) = site("/").await?;
    let http = runtime.http();
    let running = tokio::spawn(http.get("/slow").into_future());
    let queued = tokio::spawn(http.get("/slow").into_future());
    sleep(Duration::from_millis(10)).await;
    assert_eq!(counts.alive.now(), 1);
    queued.abort();
    assert!(queued.await.is_err());
    assert_eq!(load(&runtime, "Site").1, 0);
    running.abort();
    assert!(running.await.is_err());
    assert_eq!(http.get("/typed").await?.status(), 200);
    assert_eq!(counts.alive.now(), 0);
    // In the middle of a body too.
    let mut chunks = http.get("/body").await?.chunks();
    chunks.next().await.unwrap()?;
    drop(chunks);
    assert_eq!(http.get("/typed").await?.status(), 200);
    assert_eq!(counts.alive.now(), 0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn deadlines_and_panics_end_a_request() -> Result<()> {
    let (runtime, counts) = site("/").await?;
    let http = runtime.http();
    let late = http.get("/slow").header("x-request-timeout-seconds", "2").await?;
    assert_eq!(late.status(), 408);
    assert_eq!(counts.alive.now(), 0);
    let broken = http.get("/body").header("x-request-timeout-seconds", "1.5").await?;
    assert_eq!(broken.status(), 200);
    assert!(broken.text().await.is_err());
    let panicked = http.get("/panic").header("accept", "text/plain").await?;
    assert_eq!(panicked.status(), 500);
    assert_eq!(panicked.text().await?, "Internal Server Error");
    assert_eq!(http.get("/typed").await?.status(), 200);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn request_timeout_is_the_default_deadline() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let bound = Site::bind(Echo::bind(), Arc::<Counts>::default());
    runtime.run(bound.request_timeout(Duration::from_secs(5))).await?;
    let http = runtime.http();
    let began = tokio::time::Instant::now();
    assert_eq!(http.get("/slow").await?.status(), 408);
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    let patient = http.get("/slow").header("x-request-timeout-seconds", "20").await?;
    assert_eq!(patient.text().await?, "slow");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn routes_end_with_their_replica() -> Result<()> {
    let (runtime, counts) = site("/").await?;
    assert_eq!(runtime.http().get("/items/7").await?.status(), 200);
    runtime.delete("default").await?;
    assert_eq!(counts.dropped.load(Ordering::SeqCst), 1);
    assert_eq!(runtime.http().get("/items/7").await?.status(), 404);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn mocks_do_not_serve_routes() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Site::bind(Echo::bind(), Arc::<Counts>::default())).await?;
    assert_eq!(runtime.http().get("/items/7").await?.status(), 200);

    let runtime = MockRuntime::builder().mock(SiteMock::new()).start();
    runtime.run(Site::bind(Echo::bind(), Arc::<Counts>::default())).await?;
    assert_eq!(runtime.http().get("/items/7").await?.status(), 503);
    Ok(())
}
