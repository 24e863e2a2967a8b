//! Programs that calls in place must not break: methods that turn slow, callers that never yield,
//! deep stacks, panics of callers, log filters, and deadlines of methods that do not await.

use crate::support::clocks::seconds;
use crate::support::gates::{Gate, gate};
use crate::support::log::second_subscriber;
use crate::support::runtimes::threads;
use crate::support::status;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::Stream;
use parking_lot::Mutex;
use serve_core::prelude::*;
use serve_core::status::ApplicationStatus;
use tokio::time::Instant;

fn in_place(runtime: &Runtime, deployment: &str, method: &str) -> u64 {
    // A method that was never called is not there.
    status::deployment(runtime, deployment).methods.get(method).map_or(0, |method| method.in_place)
}

/// Computes for `time`, as far as the clock tells.
fn compute(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}

#[deployment]
struct Quick;

#[handle]
impl Quick {
    fn new() -> Self {
        Self
    }

    pub async fn get(&self) -> u64 {
        1
    }
}

/// Answers at once, until it has turned slow.
#[deployment]
struct Turning {
    slow: Arc<AtomicBool>,
}

#[handle]
impl Turning {
    fn new(slow: Arc<AtomicBool>) -> Self {
        Self { slow }
    }

    pub async fn answer(&self) -> u64 {
        if self.slow.load(Ordering::SeqCst) {
            compute(Duration::from_micros(200));
        }
        2
    }
}

#[deployment]
struct Round {
    quick: QuickHandle,
    turning: TurningHandle,
}

#[handle]
impl Round {
    fn new(quick: QuickHandle, turning: TurningHandle) -> Self {
        Self { quick, turning }
    }

    /// So many rounds, each of some calls of the quick method and one of the other.
    pub async fn rounds(&self, rounds: u32, quick: u32) -> Result<()> {
        for _ in 0..rounds {
            for _ in 0..quick {
                self.quick.get().await?;
            }
            self.turning.answer().await?;
        }
        Ok(())
    }
}

#[test]
fn slow_methods_are_demoted_to_tasks() {
    for quick in [0, 1, 3, 7, 15, 31] {
        threads(1).block_on(async {
            let runtime = Runtime::builder().start().await.unwrap();
            let slow = Arc::<AtomicBool>::default();
            let round = Round::bind(Quick::bind(), Turning::bind(Arc::clone(&slow)));
            let round = runtime.run(round).await.unwrap();
            let in_place = || in_place(&runtime, "Turning", "answer");
            // It earns its poll in place, which a busy machine may put off.
            while in_place() < 100 {
                round.rounds(100, quick).await.unwrap();
            }
            slow.store(true, Ordering::SeqCst);
            let before = in_place();
            round.rounds(400, quick).await.unwrap();
            let after = in_place() - before;
            assert!(after <= 100, "{after} of 400 ran in place, with {quick} others in each round");
        });
    }
}

#[deployment]
struct Careless {
    quick: QuickHandle,
}

#[handle]
impl Careless {
    fn new(quick: QuickHandle) -> Self {
        Self { quick }
    }

    /// Cancels its calls before it awaits them, until `stop` is set.
    pub async fn cancel(&self, stop: Stop) -> u64 {
        let mut cancelled = 0;
        while !stop.0.load(Ordering::SeqCst) {
            let call = self.quick.get();
            call.cancel();
            cancelled += u64::from(call.await.is_err());
        }
        cancelled
    }
}

/// A flag that stays in its process.
#[derive(Clone, Default)]
struct Stop(Arc<AtomicBool>);

impl Serialize for Stop {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Stop {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <()>::deserialize(from).map(|()| Self::default())
    }
}

#[test]
fn loops_of_cancelled_calls_yield() {
    for in_place in [true, false] {
        threads(1).block_on(async {
            let runtime = Runtime::builder().in_place(in_place).start().await.unwrap();
            let careless = runtime.run(Careless::bind(Quick::bind())).await.unwrap();
            let stop = Stop::default();
            let cancelling = careless.cancel(stop.clone());
            let stopping = tokio::spawn(async move {
                tokio::task::yield_now().await;
                stop.0.store(true, Ordering::SeqCst);
            });
            // On one thread, `stopping` runs only if the loop yields.
            let (cancelled, stopped) = tokio::join!(cancelling, stopping);
            stopped.unwrap();
            cancelled.unwrap();
        });
    }
}

#[deployment(local)]
struct Deep {
    own: Arc<Mutex<Option<DeepHandle>>>,
}

#[handle]
impl Deep {
    fn new(own: Arc<Mutex<Option<DeepHandle>>>) -> Self {
        Self { own }
    }

    /// Keeps an array in its future while it calls itself.
    pub async fn dive(&self, depth: u32) -> Result<u32> {
        let array = [u8::try_from(depth % 200).unwrap(); 16_384];
        let own = self.own.lock().clone().unwrap();
        let below = if depth == 0 { 0 } else { Box::pin(own.dive(depth - 1)).await? };
        Ok(below + u32::from(std::hint::black_box(&array)[depth as usize] > 0))
    }
}

#[test]
fn deep_calls_do_not_overflow_the_stack() {
    for in_place in [true, false] {
        threads(2).block_on(async {
            let runtime = Runtime::builder().in_place(in_place).start().await.unwrap();
            let own = Arc::default();
            let deep = runtime.run(Deep::bind(Arc::clone(&own))).await.unwrap();
            *own.lock() = Some(deep.clone());
            assert_eq!(deep.dive(40).await.unwrap(), 40);
            *own.lock() = None;
        });
    }
}

/// Polls a response once when it is dropped.
struct PollsInDrop(Option<serve_core::Response<u64>>);

impl Drop for PollsInDrop {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            let _ = futures::FutureExt::now_or_never(call);
        }
    }
}

#[deployment]
struct Panics {
    quick: QuickHandle,
}

#[handle]
impl Panics {
    fn new(quick: QuickHandle) -> Self {
        Self { quick }
    }

    pub async fn panic(&self) {
        let _polls = PollsInDrop(Some(self.quick.get()));
        panic!("on purpose");
    }
}

#[test]
fn callers_panics_do_not_count_against_a_replica() {
    for in_place in [true, false] {
        threads(1).block_on(async {
            let runtime = Runtime::builder().in_place(in_place).start().await.unwrap();
            let panics = runtime.run(Panics::bind(Quick::bind())).await.unwrap();
            for _ in 0..10 {
                // A panic in a row with a success is none of three in a row.
                assert!(panics.panic().await.is_err());
            }
            runtime.wait_for("default", ApplicationStatus::Running).await;
            let status = runtime.status();
            let quick = &status.application("default").unwrap().deployments["Quick"];
            assert_eq!(quick.recent_dead_replicas.len(), 0, "{quick:?}");
        });
    }
}

/// Blocks its thread until it is let go.
#[deployment(local)]
struct Blocks {
    gate: Gate,
}

#[handle]
impl Blocks {
    fn new(gate: Gate) -> Self {
        Self { gate }
    }

    pub async fn block(&self) -> u64 {
        // Long enough for a caller that waits for it to be found out.
        self.gate.pass_within(seconds(20));
        7
    }

    pub fn items(&self) -> impl Stream<Item = u64> + use<> {
        let gate = self.gate.clone();
        futures::stream::iter(0..2).map(move |number| {
            if number == 1 {
                gate.pass_within(seconds(20));
            }
            number
        })
    }
}

/// The handle with a deadline of 20 ms, and the way to let the method go.
async fn blocks(runtime: &Runtime) -> (BlocksHandle, Sender<()>) {
    let (gate, go) = gate();
    let blocks = runtime.run(Blocks::bind(gate)).await.unwrap();
    (blocks.options(CallOptions::new().timeout(Duration::from_millis(20))), go)
}

#[test]
fn deadlines_reach_callers_of_blocked_methods() {
    threads(3).block_on(async {
        let runtime = Runtime::builder().start().await.unwrap();
        let (blocks, go) = blocks(&runtime).await;
        assert_eq!(blocks.block().await, Err(CallError::DeadlineExceeded));
        go.send(()).unwrap();

        let mut items = blocks.items();
        assert_eq!(items.next().await, Some(Ok(0)));
        assert_eq!(items.next().await, Some(Err(CallError::DeadlineExceeded)));
        assert_eq!(items.next().await, None);
        go.send(()).unwrap();

        let error = blocks.block().object_ref().await.expect_err("it is late");
        assert!(error.to_string().contains("deadline"), "{error}");
        go.send(()).unwrap();

        // From a thread that knows nothing of tokio.
        let call = blocks.block();
        let waited = std::thread::spawn(move || call.result()).join().unwrap();
        assert_eq!(waited, Err(CallError::DeadlineExceeded));
        go.send(()).unwrap();
    });
}

#[deployment]
struct Logs;

#[handle]
impl Logs {
    fn new() -> Self {
        Self
    }

    pub async fn log(&self) {
        tracing::info!(target: "my_app", "in the callee");
    }
}

#[deployment]
struct Spans {
    logs: LogsHandle,
}

#[handle]
impl Spans {
    fn new(logs: LogsHandle) -> Self {
        Self { logs }
    }

    pub async fn log(&self) -> Result<()> {
        let span = tracing::info_span!(target: "my_app", "own_span", secret = 42);
        let call = async {
            self.logs.log().await?;
            tracing::info!(target: "my_app", "in the caller");
            Ok(())
        };
        tracing::Instrument::instrument(call, span).await
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn log_filters_keep_callee_events_separate() {
    for in_place in [true, false] {
        for filter in ["my_app=info", "info", "serve_core=info,my_app=info"] {
            let lines = Lines::default();
            let writer = lines.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_writer(move || writer.clone())
                .with_ansi(false)
                .with_env_filter(filter)
                .finish();
            let _second = second_subscriber(tracing_subscriber::registry());
            let _default = tracing::subscriber::set_default(subscriber);
            threads(1).block_on(async {
                let runtime = Runtime::builder().in_place(in_place).start().await.unwrap();
                let spans = runtime.run(Spans::bind(Logs::bind())).await.unwrap();
                spans.log().await.unwrap();
            });
            let text = String::from_utf8(lines.0.lock().clone()).unwrap();
            let line = |what: &str| text.lines().find(|line| line.ends_with(what)).unwrap();
            let said = format!("{filter}, in place: {in_place}: {text}");
            assert!(!line("in the callee").contains("secret"), "{said}");
            assert!(line("in the caller").contains("secret"), "{said}");
            let has_span = filter != "my_app=info";
            assert_eq!(line("in the callee").contains("\"Logs\""), has_span, "{said}");
        }
    }
}
