//! The access log: one line a request.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(unreachable_pub, reason = "a handle has the public methods, and a test no public face")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serve_core::prelude::*;
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span;

#[deployment]
struct Slow;

#[handle]
impl Slow {
    fn new() -> Self {
        Self
    }

    #[get("/wait/{seconds}")]
    pub async fn wait(&self, seconds: u64) -> String {
        sleep(Duration::from_secs(seconds)).await;
        "done".to_owned()
    }

    #[get("/ticks")]
    pub fn ticks(&self) -> impl Stream<Item = u32> {
        futures::stream::unfold(0, |tick| async move {
            sleep(Duration::from_secs(1)).await;
            (tick < 3).then_some((tick, tick + 1))
        })
    }
}

/// Keeps the lines of the access log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => {}
            "request_id" => {}
            name => write!(self.0, "{name}={value:?} ").unwrap(),
        }
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "serve_core::access"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().push(text.0.trim().to_owned());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn each_request_has_a_line_and_499_is_for_clients_that_went_away() -> Result<()> {
    let lines = Lines::default();
    let _default = tracing::subscriber::set_default(lines.clone());
    let take = || std::mem::take(&mut *lines.0.lock());
    let runtime = MockRuntime::builder().start();
    runtime.run(Application::new(Slow::bind()).route_prefix("/slow")).await?;
    let http = runtime.http();

    http.get("/slow/wait/2").await?;
    assert_eq!(take(), [r#"method="GET" route="/slow/wait/{seconds}" status=200 ms=2000.0"#]);

    http.get("/slow/wait/x").await?;
    http.get("/nothing").await?;
    http.get("/-/healthz").await?;
    assert_eq!(
        take(),
        [
            r#"method="GET" route="/slow/wait/{seconds}" status=422 ms=0.0"#,
            r#"method="GET" route="/nothing" status=404 ms=0.0"#,
        ]
    );

    let gone = tokio::time::timeout(Duration::from_secs(1), http.get("/slow/wait/9").send()).await;
    assert!(gone.is_err());
    assert_eq!(take(), [r#"method="GET" route="/slow/wait/{seconds}" status=499 ms=1000.0"#]);

    // A stream is done when its last chunk is sent.
    let response = http.get("/slow/ticks").await?;
    assert_eq!(take(), [""; 0]);
    response.text().await?;
    assert_eq!(take(), [r#"method="GET" route="/slow/ticks" status=200 ms=4000.0"#]);
    drop(http.get("/slow/ticks").await?);
    assert_eq!(take(), [r#"method="GET" route="/slow/ticks" status=499 ms=1000.0"#]);
    Ok(())
}
