//! The log of requests: a line for each in the access log, and warnings.
#![cfg(feature = "http")]

use crate::support::clocks::until;
use crate::support::http::{get_request, http2, listening, send};
use crate::support::log::Log;
use crate::support::status::load;

use std::time::Duration;

use serve_core::prelude::*;
use tokio::time::sleep;
use tracing::{Level, Metadata};

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

/// Passes on the missed deadline of its callee, and has its own error.
#[deployment]
struct Front {
    slow: SlowHandle,
}

#[handle]
impl Front {
    fn new(slow: SlowHandle) -> Self {
        Self { slow }
    }

    #[get("/late")]
    pub async fn late(&self) -> Result<String> {
        let slow = self.slow.options(CallOptions::new().timeout(Duration::from_secs(1)));
        Ok(slow.wait(9).await?)
    }

    #[get("/status/{status}")]
    pub async fn status(&self, status: u16) -> Result<()> {
        Err(Error::msg("on purpose").with_status(status))
    }
}

/// True for the lines of the access log.
fn is_access(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "serve_core::access"
}

/// True for the warnings and errors of the framework.
fn is_warning(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("serve_core") && *metadata.level() <= Level::WARN
}

/// The lines of the access log, without the parts that differ from run to run.
fn access_lines(log: &Log) -> Vec<String> {
    log.take().iter().map(|line| line.without(&["message", "request_id"])).collect()
}

#[tokio::test(start_paused = true)]
async fn each_request_has_a_line() -> Result<()> {
    let log = Log::of(is_access);
    let take = || access_lines(&log);
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

/// Failures of the server are logged with their reason, wherever their status comes from; failures
/// of the client are not.
#[tokio::test(start_paused = true)]
async fn server_failures_are_warnings() -> Result<()> {
    let log = Log::of(is_warning);
    let runtime = MockRuntime::builder().start();
    runtime.run(Front::bind(Slow::bind())).await?;
    let http = runtime.http();
    assert_eq!(http.get("/late").await?.status(), 408);
    let late = log.take_texts();
    assert!(
        matches!(&late[..], [line] if line.contains("deadline") && line.contains("408")),
        "{late:?}"
    );
    for (status, lines_of) in [(404, 0), (409, 0), (503, 1), (502, 1)] {
        assert_eq!(http.get(format!("/status/{status}")).await?.status(), status);
        let said = log.take_texts();
        assert_eq!(said.len(), lines_of, "{said:?}");
        assert!(said.iter().all(|line| line.contains("on purpose")), "{said:?}");
    }
    Ok(())
}

/// Shuts a runtime down while two requests run that do not end, one over each version of HTTP.
async fn cut_off() -> Result<()> {
    let (runtime, address) = listening().await?;
    let slow = Slow::bind().graceful_shutdown_timeout(Duration::from_secs(5));
    runtime.run(slow).await?;
    let _socket = send(address, "/wait/9999").await;
    let mut client = http2(address).await;
    let waiting = tokio::spawn(client.send_request(get_request("/wait/9999")));
    until("both requests run", || load(&runtime, "Slow").0 == 2).await;
    tokio::time::pause();
    runtime.shutdown().await;
    tokio::time::resume();
    assert!(waiting.await.unwrap().is_err(), "its connection is closed");
    Ok(())
}

#[tokio::test]
async fn requests_cut_off_by_shutdown_are_503() -> Result<()> {
    let log = Log::of(is_access);
    cut_off().await?;
    let access = access_lines(&log);
    drop(log);
    assert_eq!(access.len(), 2, "{access:?}");
    let expected = r#"method="GET" route="/wait/{seconds}" status=503 "#;
    assert!(access.iter().all(|line| line.starts_with(expected)), "{access:?}");

    let log = Log::of(is_warning);
    cut_off().await?;
    let warnings = log.take_texts();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.contains("2 requests were cut off") && warning.contains("5s"), "{warning}");
    Ok(())
}
