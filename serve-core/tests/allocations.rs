//! What a call allocates. The only test of its program, because the count is of all
//! threads.
#![allow(unreachable_pub, reason = "a handle has the public methods, and a test no public face")]

use std::alloc::System;

use serve_core::prelude::*;
use serve_core::{Candidate, Candidates, RequestRouter, RequestRouting, RoutedCall};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[deployment(max_ongoing_requests = 1)]
struct Adder {
    by: u64,
}

#[handle]
impl Adder {
    fn new(by: u64) -> Self {
        Self { by }
    }

    pub async fn add(&self, to: u64) -> u64 {
        to + self.by
    }
}

#[deployment]
struct Translator {
    models: Multiplexed<u64>,
}

#[handle]
impl Translator {
    fn new() -> Self {
        Self { models: Multiplexed::new(1, async |_id| Ok::<_, Error>(1)) }
    }

    pub async fn translate(&self, text: u64) -> Result<u64> {
        Ok(text + *self.models.current().await?)
    }
}

/// A router that asks for all that there is to ask for.
#[derive(Default)]
struct Curious;

impl RequestRouter for Curious {
    fn choose<'a>(&self, _: &RoutedCall<'_>, all: &Candidates<'a>) -> Option<Candidate<'a>> {
        let (one, other) = all.random_pair()?;
        let known = [all.by_id(one.replica_id)?, all.by_rank(other.rank)?, all.random()?];
        all.iter().rev().chain(known).min_by_key(|one| one.ongoing)
    }
}

#[tokio::test]
async fn a_call_allocates_its_task_and_nothing_else_whether_it_waits_or_how_it_is_routed()
-> Result<()> {
    const PAIRS: usize = 1_000;
    let runtime = Runtime::builder().start().await?;
    let adder = runtime.run(Adder::bind(1)).await?;
    let pair = async || {
        // The second waits in the queue.
        let (first, second) = (adder.add(1), adder.add(2));
        assert_eq!((first.await, second.await), (Ok(2), Ok(3)));
    };
    // What grows once and stays does so here.
    pair().await;
    let region = Region::new(GLOBAL);
    for _ in 0..PAIRS {
        pair().await;
    }
    let made = region.change().allocations;
    // The test runner's own thread may allocate a little meanwhile.
    assert!((2 * PAIRS..2 * PAIRS + 100).contains(&made), "{made} allocations");

    let translator = runtime.run(Application::new(Translator::bind()).name("models")).await?;
    let spanish = translator.options(CallOptions::new().multiplexed_model_id("es"));
    assert_eq!(spanish.translate(1).await?, 2);
    let region = Region::new(GLOBAL);
    for _ in 0..PAIRS {
        assert_eq!(spanish.translate(1).await?, 2);
    }
    let made = region.change().allocations;
    assert!((PAIRS..PAIRS + 100).contains(&made), "{made} allocations for a model that is held");

    let routed =
        Adder::bind(1).num_replicas(10).request_router(RequestRouting::custom::<Curious>());
    let routed = runtime.run(Application::new(routed).name("routed")).await?;
    assert_eq!(routed.add(1).await?, 2);
    let region = Region::new(GLOBAL);
    for _ in 0..PAIRS {
        assert_eq!(routed.add(1).await?, 2);
    }
    let made = region.change().allocations;
    assert!((PAIRS..PAIRS + 100).contains(&made), "{made} allocations by a router of one's own");
    Ok(())
}
