//! Decisions about a call are `trace` events in the span of its deployment.

use crate::support::log::Log;

use std::time::Duration;

use serve_core::prelude::*;
use tokio::time::sleep;
use tracing::Level;

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
    let log = Log::of(|metadata| {
        metadata.target().starts_with("serve_core") && *metadata.level() == Level::TRACE
    });
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

    let lines = log.take();
    let lines = lines.iter().map(|line| format!("[{}] {}", line.span, line.without(&[])));
    let events = lines.collect::<Vec<_>>().join("\n");
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
