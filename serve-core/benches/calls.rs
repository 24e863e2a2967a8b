//! What calls cost on this machine, in time: to see whether a change made them faster.
//! Criterion remembers the last run. The promises are ratios: see the bench `ratios`.
#![allow(unreachable_pub, reason = "a handle has the public methods, and a bench no public face")]

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use futures::future::join_all;
use serve_core::prelude::*;
use tokio::runtime::{Builder, Runtime as Tokio};
use tokio::time::Instant;

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

#[deployment]
struct Relay {
    adder: AdderHandle,
}

#[handle]
impl Relay {
    pub fn new(adder: AdderHandle) -> Self {
        Self { adder }
    }

    pub async fn add(&self, to: u64) -> Result<u64> {
        Ok(self.adder.add(to).await?)
    }
}

/// All repetitions in one `block_on`, whose own wake-up for each result is in the time: the
/// figures are to be compared with each other and with earlier ones, not with `ratios`.
fn repeated(tokio: &Tokio, times: u64, call: impl AsyncFn() -> bool) -> Duration {
    tokio.block_on(async {
        let begin = Instant::now();
        for _ in 0..times {
            assert!(call().await, "nothing fails a call");
        }
        begin.elapsed()
    })
}

fn calls(criterion: &mut Criterion) {
    let tokio = Builder::new_current_thread().enable_all().build().expect("a runtime can start");
    let (runtime, relay, adder) = tokio.block_on(async {
        let runtime = Runtime::builder().start().await.expect("tokio is here");
        let relay = runtime.run(Relay::bind(Adder::bind(1))).await.expect("nothing keeps it");
        let adder = runtime.get_deployment_handle::<Adder>("default", "Adder").expect("it runs");
        (runtime, relay, adder)
    });
    let hurried = adder.options(CallOptions::new().timeout(Duration::from_secs(60)));
    criterion.bench_function("unary", |bench| {
        bench.iter_custom(|times| repeated(&tokio, times, async || adder.add(1).await.is_ok()));
    });
    criterion.bench_function("unary with a timeout", |bench| {
        bench.iter_custom(|times| repeated(&tokio, times, async || hurried.add(1).await.is_ok()));
    });
    criterion.bench_function("a call that makes a call", |bench| {
        bench.iter_custom(|times| repeated(&tokio, times, async || relay.add(1).await.is_ok()));
    });
    criterion.bench_function("64 at once", |bench| {
        bench.iter_custom(|times| {
            repeated(&tokio, times, async || {
                join_all((0..64).map(|number| adder.add(number))).await.iter().all(Result::is_ok)
            })
        });
    });
    tokio.block_on(runtime.shutdown());
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = calls
}
criterion_main!(benches);
