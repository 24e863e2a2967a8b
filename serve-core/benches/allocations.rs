//! How often a call allocates, beside what tokio itself needs. Counts, not times: they
//! are the same on every machine.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![allow(unreachable_pub, reason = "a handle has the public methods, and a bench no public face")]

use std::alloc::System;

use serve_core::prelude::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Calls to a count: enough that what grows once and stays does not show.
const CALLS: usize = 10_000;

#[deployment(max_ongoing_requests = 1)]
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

    pub async fn twice(&self, to: u64) -> Result<u64> {
        Ok(to + 2 * self.by)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let runtime = Runtime::builder().start().await?;
    let adder = runtime.run(Adder::bind(1)).await?;
    println!("| what | allocations | bytes |\n|---|---|---|");
    counted("`tokio::spawn` + await", async |number| {
        assert_eq!(tokio::spawn(async move { number + 1 }).await.ok(), Some(number + 1));
    })
    .await;
    counted("unary call", async |number| {
        assert_eq!(adder.add(number).await, Ok(number + 1));
    })
    .await;
    counted("unary call that returns a `Result`", async |number| {
        assert_eq!(adder.twice(number).await.ok(), Some(number + 2));
    })
    .await;
    counted("two calls, of which one waits in the queue", async |number| {
        let (first, second) = (adder.add(number), adder.add(number));
        assert_eq!((first.await, second.await), (Ok(number + 1), Ok(number + 1)));
    })
    .await;
    runtime.shutdown().await;
    Ok(())
}

async fn counted(what: &str, repeat: impl AsyncFn(u64)) {
    // Once before, for what grows once and stays.
    repeat(0).await;
    let region = Region::new(GLOBAL);
    for number in 0..CALLS as u64 {
        repeat(number).await;
    }
    let change = region.change();
    let each = |total: usize| total as f64 / CALLS as f64;
    println!("| {what} | {:.2} | {:.0} |", each(change.allocations), each(change.bytes_allocated));
}
