//! The decisions on a call's path are events of the level `trace`, in the span of their
//! deployment.

use std::fmt::{Debug, Write as _};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serve_core::prelude::*;
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps the trace events of serve-core, each with its span.
#[derive(Clone, Default)]
struct Traces {
    events: Arc<Mutex<Vec<String>>>,
    spans: Arc<Mutex<Vec<String>>>,
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Traces {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("serve_core")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut text = Text::default();
        span.record(&mut text);
        let mut spans = self.spans.lock();
        spans.push(text.0);
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if *event.metadata().level() != Level::TRACE {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        let span = event.parent().map(|id| usize::try_from(id.into_u64()).unwrap() - 1);
        let span = span.map(|number| self.spans.lock()[number].clone()).unwrap_or_default();
        self.events.lock().push(format!("[{span}] {}", text.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[deployment(max_ongoing_requests = 1, max_queued_requests = 1)]
#[derive(Default)]
struct Worker;

#[handle]
impl Worker {
    #[retry(max = 1)]
    pub async fn work(&self) {
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_decision_is_traced_with_its_deployment() -> Result<()> {
    let traces = Traces::default();
    let _guard = tracing::subscriber::set_default(traces.clone());
    let runtime = MockRuntime::builder().mode(Mode::Local).start();
    let worker = runtime.run(Worker::bind()).await?;
    let (first, second, third) = (worker.work(), worker.work(), worker.work());
    assert!(third.await.is_err());
    sleep(Duration::from_millis(10)).await;
    assert!(runtime.kill_replica::<Worker>(0));
    first.await?;
    second.await?;
    let hasty = worker.options(CallOptions::new().timeout(Duration::from_millis(1)));
    assert!(hasty.work().await.is_err());

    let events = traces.events.lock().join("\n");
    let span = r#"[deployment="Worker" application="default" ]"#;
    for expected in ["has its seat", "queued", "refused", "runs again"] {
        let told = events.lines().find(|event| event.contains(expected));
        let told = told.unwrap_or_else(|| panic!("no `{expected}` in\n{events}"));
        assert!(told.starts_with(span) && told.contains("method=\"work\""), "{told}");
    }
    for expected in ["late", "its replica ended"] {
        let told = events.lines().find(|event| event.contains(expected));
        let told = told.unwrap_or_else(|| panic!("no `{expected}` in\n{events}"));
        assert!(told.contains("replica=\"default#Worker#"), "{told}");
    }
    Ok(())
}
