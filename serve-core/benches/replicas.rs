//! What a replica costs that does nothing: its memory, its start and its end, and how often
//! it wakes the processor. Bytes and wake-ups are the same on every machine; times are
//! shown for what one replica of many costs beside one of few.
//!
//! `docs/performance.md` says what each column means.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![allow(unreachable_pub, reason = "a handle has the public methods, and a bench no public face")]

use std::alloc::System;
use std::time::Duration;

use serve_core::prelude::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::runtime::{Builder, Handle};
use tokio::time::{Instant, sleep};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[deployment]
struct Adder {
    by: u64,
}

#[handle]
impl Adder {
    pub fn new(by: u64) -> Self {
        Self { by }
    }

    pub async fn add(&self, to: u64) -> u64 {
        to + self.by
    }
}

/// What was measured of a number of replicas.
struct Measured {
    bytes: usize,
    start: Duration,
    stop: Duration,
    /// In a second in which nobody calls.
    wake_ups: u64,
    busy: Duration,
}

fn main() {
    println!(
        "| threads | replicas | bytes each | start, each | stop, each | wake-ups in an idle second \
         | busy in it |\n|---|---|---|---|---|---|---|"
    );
    for workers in [1, 2] {
        for replicas in [1, 1_000, 10_000] {
            let mut builder = match workers {
                1 => Builder::new_current_thread(),
                _ => Builder::new_multi_thread(),
            };
            let tokio = builder.worker_threads(workers).enable_all().build();
            let tokio = tokio.expect("threads can start");
            let Measured { bytes, start, stop, wake_ups, busy } = tokio.block_on(measure(replicas));
            let each = u32::try_from(replicas).expect("it is small");
            println!(
                "| {workers} | {replicas} | {bytes} | {:?} | {:?} | {wake_ups} | {busy:?} |",
                start / each,
                stop / each
            );
        }
    }
}

async fn measure(replicas: usize) -> Measured {
    let runtime = Runtime::builder().start().await.expect("tokio is here");
    // What the first deployment makes for all that come.
    runtime.run(Application::new(Adder::bind(0)).name("first")).await.expect("nothing keeps it");
    let region = Region::new(GLOBAL);
    let begin = Instant::now();
    let adder = runtime.run(Adder::bind(1).num_replicas(replicas)).await;
    let adder = adder.expect("nothing keeps it");
    let start = begin.elapsed();
    let change = region.change();
    let bytes = change.bytes_allocated - change.bytes_deallocated;
    assert_eq!(adder.add(1).await.expect("nothing fails it"), 2);
    // What was under way has ended.
    sleep(Duration::from_millis(100)).await;
    let (before, busy_before) = activity();
    sleep(Duration::from_secs(1)).await;
    let (after, busy_after) = activity();
    let begin = Instant::now();
    runtime.shutdown().await;
    Measured {
        bytes: bytes / replicas,
        start,
        stop: begin.elapsed(),
        wake_ups: after - before,
        busy: busy_after - busy_before,
    }
}

/// How often the workers of this runtime have gone to sleep, and how long they were awake.
fn activity() -> (u64, Duration) {
    let metrics = Handle::current().metrics();
    let workers = 0..metrics.num_workers();
    let parks = workers.clone().map(|worker| metrics.worker_park_count(worker)).sum();
    (parks, workers.map(|worker| metrics.worker_total_busy_duration(worker)).sum())
}
