//! What a review of the runtime found: each of these fails on the code as it is.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(unreachable_pub, reason = "a handle has the public methods, and a test no public face")]

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serve_core::axum::Router;
use serve_core::axum::routing::post;
use serve_core::prelude::*;
use serve_core::{Candidate, RequestRouter, RequestRouting, RoutedCall};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

fn ongoing(runtime: &Runtime) -> usize {
    runtime.status().applications["default"].deployments.values().map(|one| one.ongoing).sum()
}

/// Takes a while to start.
#[deployment]
struct Slow;

#[handle]
impl Slow {
    async fn new(pause: Duration) -> Self {
        sleep(pause).await;
        Self
    }

    pub async fn hi(&self) -> u32 {
        1
    }
}

fn from_zero() -> AutoscalingConfig {
    AutoscalingConfig::new().min_replicas(0).initial_replicas(0).max_replicas(1)
}

#[tokio::test(start_paused = true)]
async fn a1_a_delete_ends_when_the_call_that_woke_the_deployment_has() -> Result<()> {
    let runtime = Runtime::builder().start().await?;
    let slow = runtime.run(Slow::bind(SECOND).autoscaling(from_zero())).await?;
    let call = slow.hi();
    sleep(Duration::from_millis(10)).await;
    let began = Instant::now();
    runtime.delete("default").await?;
    assert_eq!(call.await, Ok(1));
    assert!(began.elapsed() < 3 * SECOND, "it took {:?}", began.elapsed());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a2_a_deployment_that_is_deleted_takes_no_new_call_though_a_replica_comes() -> Result<()> {
    let runtime = Runtime::builder().start().await?;
    let slow = runtime.run(Slow::bind(SECOND).autoscaling(from_zero())).await?;
    let call = slow.hi();
    sleep(Duration::from_millis(10)).await;
    let late = async {
        sleep(2 * SECOND).await;
        slow.hi().await
    };
    let (deleted, late) = futures::join!(runtime.delete("default"), late);
    deleted?;
    assert_eq!(call.await, Ok(1));
    assert!(matches!(late, Err(CallError::Unavailable { started: false, .. })), "{late:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a3_a_call_of_what_was_deleted_never_waits_for_ever() -> Result<()> {
    for run in 0..32 {
        let runtime = MockRuntime::builder().seed(run).start();
        let slow = runtime.run(Slow::bind(SECOND)).await?;
        runtime.kill_replica::<Slow>(0);
        // The next one is there just now.
        sleep(SECOND).await;
        runtime.delete("default").await?;
        let late = timeout(60 * SECOND, slow.hi()).await;
        assert!(late.is_ok(), "run {run}: a call of a deleted deployment hangs");
    }
    Ok(())
}

#[deployment]
#[derive(Default)]
struct Work;

#[handle]
impl Work {
    pub async fn work(&self, time: Duration) -> u32 {
        sleep(time).await;
        7
    }
}

#[tokio::test(start_paused = true)]
async fn b1_an_application_survives_that_its_delete_is_not_awaited_to_the_end() -> Result<()> {
    let runtime = Runtime::builder().start().await?;
    let work = runtime.run(Work::bind()).await?;
    let _call = work.work(5 * SECOND);
    sleep(Duration::from_millis(1)).await;
    assert!(timeout(SECOND, runtime.delete("default")).await.is_err());
    sleep(30 * SECOND).await;
    let again = runtime.run(Work::bind()).await;
    assert!(again.is_ok(), "{again:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn c1_a_timeout_longer_than_time_is_none() -> Result<()> {
    let runtime = Runtime::builder().start().await?;
    let work = runtime.run(Work::bind()).await?;
    let patient = work.options(CallOptions::new().timeout(Duration::MAX));
    assert_eq!(patient.work(SECOND).await, Ok(7));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn c2_a_grace_longer_than_time_lets_calls_end() -> Result<()> {
    let runtime = Runtime::builder().start().await?;
    let work = runtime.run(Work::bind().graceful_shutdown_timeout(Duration::MAX)).await?;
    let call = work.work(SECOND);
    sleep(Duration::from_millis(1)).await;
    runtime.delete("default").await?;
    assert_eq!(call.await, Ok(7));
    Ok(())
}

#[deployment]
#[derive(Default)]
struct Batches;

#[handle]
impl Batches {
    #[batch(max_batch_size = 2, batch_wait_timeout = "10ms")]
    pub fn count(&self, to: Vec<u64>) -> impl Stream<Item = Vec<Option<u64>>> {
        let most = to.iter().copied().max().unwrap_or_default();
        stream::iter(0..most).map(move |n| to.iter().map(|to| (n < *to).then_some(n)).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn d1_who_does_not_read_its_stream_holds_up_no_other_batch() -> Result<()> {
    let runtime = Runtime::builder().start().await?;
    let batches = runtime.run(Batches::bind()).await?;
    let _unread = batches.count(100);
    sleep(SECOND).await;
    let other = batches.count(3);
    let read = timeout(600 * SECOND, other.try_collect::<Vec<_>>()).await;
    assert!(read.is_ok(), "a reader that stands still stops the method for all");
    Ok(())
}

#[deployment(max_ongoing_requests = 2)]
#[derive(Default)]
struct Heavy;

#[handle]
impl Heavy {
    #[blocking]
    pub fn nap(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

#[tokio::test]
async fn e1_a_blocking_call_that_has_not_begun_gives_its_slot_back() -> Result<()> {
    let runtime = Runtime::builder().start().await?;
    let heavy = runtime.run(Heavy::bind()).await?;
    let _first = heavy.nap(3 * SECOND);
    sleep(Duration::from_millis(50)).await;
    let second = heavy.nap(Duration::ZERO);
    sleep(Duration::from_millis(50)).await;
    drop(second);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(ongoing(&runtime), 1);
    Ok(())
}

#[deployment(graceful_shutdown_timeout = "100ms")]
struct Loads;

#[handle]
impl Loads {
    fn new(time: Duration) -> Self {
        std::thread::sleep(time);
        Self
    }

    pub async fn hi(&self) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f1_a_shutdown_does_not_wait_for_a_constructor_that_blocks() -> Result<()> {
    let runtime = Runtime::builder().start().await?;
    let (other, loads) = (runtime.clone(), Loads::bind(4 * SECOND));
    let deploying = tokio::spawn(async move { other.run(loads).await.is_ok() });
    sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    runtime.shutdown().await;
    assert!(began.elapsed() < 2 * SECOND, "it took {:?}", began.elapsed());
    drop(deploying);
    Ok(())
}

#[deployment(graceful_shutdown_timeout = "100ms")]
#[derive(Default)]
struct Web;

#[handle]
impl Web {
    #[get("/forever")]
    pub fn forever(&self) -> impl Stream<Item = String> {
        stream::repeat_with(|| "x".repeat(10_000))
    }

    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        Router::new().route("/up", post(async |body: Bytes| body.len().to_string()))
    }
}

#[tokio::test(start_paused = true)]
async fn g1_an_upload_that_stops_gives_its_slot_back() -> Result<()> {
    let runtime = Runtime::builder().http(([127, 0, 0, 1], 0)).start().await?;
    runtime.run(Web::bind()).await?;
    let mut socket = TcpStream::connect(runtime.http_address().unwrap()).await.unwrap();
    let head = b"POST /up HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nab";
    socket.write_all(head).await.unwrap();
    for _ in 0..1000 {
        sleep(Duration::from_millis(1)).await;
        if ongoing(&runtime) == 1 {
            break;
        }
    }
    assert_eq!(ongoing(&runtime), 1);
    sleep(600 * SECOND).await;
    assert_eq!(ongoing(&runtime), 0, "ten minutes later it holds its slot");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn h1_what_answers_head_has_no_body() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Web::bind()).await?;
    for path in ["/-/healthz", "/-/routes"] {
        let answer = runtime.http().request("HEAD", path).await?;
        assert_eq!(answer.text().await?, "", "HEAD {path}");
    }
    Ok(())
}

#[tokio::test]
async fn h2_head_over_http2_is_answered_without_a_body() -> Result<()> {
    let runtime = Runtime::builder().http(([127, 0, 0, 1], 0)).start().await?;
    runtime.run(Web::bind()).await?;
    let socket = TcpStream::connect(runtime.http_address().unwrap()).await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .unwrap();
    tokio::spawn(connection);
    for path in ["/nowhere", "/-/healthz"] {
        let head = http::Request::head(format!("http://here{path}")).body(Empty::<Bytes>::new());
        let answer = client.send_request(head.unwrap()).await.unwrap();
        let body = answer.into_body().collect().await.map(|body| body.to_bytes());
        assert!(body.as_ref().is_ok_and(Bytes::is_empty), "{path}: {body:?}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn g3_a_client_that_does_not_read_its_stream_holds_no_slot_for_ever() -> Result<()> {
    let runtime = Runtime::builder().http(([127, 0, 0, 1], 0)).start().await?;
    runtime.run(Web::bind()).await?;
    let mut socket = TcpStream::connect(runtime.http_address().unwrap()).await.unwrap();
    socket.write_all(b"GET /forever HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    for _ in 0..2000 {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(ongoing(&runtime), 1);
    sleep(3600 * SECOND).await;
    assert_eq!(ongoing(&runtime), 0, "an hour later it holds its slot");
    Ok(())
}

struct Panics;

impl Default for Panics {
    fn default() -> Self {
        panic!("no table of shards")
    }
}

impl RequestRouter for Panics {
    fn choose(&self, _: &RoutedCall<'_>, _: &[Candidate<'_>]) -> Option<usize> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn i1_a_request_router_that_panics_when_it_is_made_changes_nothing() -> Result<()> {
    let runtime = Runtime::builder().start().await?;
    let work = runtime.run(Work::bind()).await?;
    let routed = Work::bind().request_router(RequestRouting::custom::<Panics>());
    let failed = timeout(60 * SECOND, runtime.run(routed)).await;
    println!("the deploy says {failed:?}");
    let call = timeout(60 * SECOND, work.work(SECOND)).await;
    assert!(matches!(call, Ok(Ok(7))), "{call:?}");
    Ok(())
}

/// Its drop panics, as that of a handle of some C library may.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("cannot be dropped");
    }
}

#[deployment(local)]
#[derive(Default)]
struct Bombs;

#[handle]
impl Bombs {
    #[blocking]
    pub fn make(&self) -> Bomb {
        std::thread::sleep(Duration::from_millis(300));
        Bomb
    }

    #[blocking]
    pub fn hi(&self) -> u32 {
        1
    }
}

#[tokio::test]
async fn j1_a_result_that_panics_when_it_is_dropped_ends_no_compute_thread() -> Result<()> {
    let runtime = Runtime::builder().start().await?;
    let bombs = runtime.run(Bombs::bind()).await?;
    let call = bombs.make();
    sleep(Duration::from_millis(100)).await;
    drop(call);
    sleep(Duration::from_millis(400)).await;
    let next = timeout(5 * SECOND, bombs.hi()).await;
    assert!(matches!(next, Ok(Ok(1))), "{next:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn k1_a_call_that_waits_again_gives_its_place_back_before_its_drop_returns() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let slow = runtime.run(Slow::bind(SECOND)).await?;
    let call = slow.hi();
    // It has not begun, and goes to the next replica.
    runtime.kill_replica::<Slow>(0);
    sleep(Duration::from_millis(10)).await;
    let queued = || runtime.status().applications["default"].deployments["Slow"].queued;
    assert_eq!(queued(), 1);
    drop(call);
    assert_eq!(queued(), 0);
    Ok(())
}
