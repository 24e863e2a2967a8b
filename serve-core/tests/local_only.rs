//! What only [`Mode::Local`] promises, because calls are values there: nothing is copied, types
//! need not travel, and a call allocates only its task. Each test says why it holds in no other
//! mode; all others run in the mode that `SERVE_TEST_MODE` names.
#![allow(unreachable_pub, reason = "a handle has the public methods, and a test no public face")]

use std::alloc::System;
use std::process::Command;
use std::sync::{Arc, mpsc};

use parking_lot::Mutex;
use serve_core::prelude::*;
use serve_core::routing::{Candidate, Candidates, RequestRouter, RequestRouting, RoutedCall};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::sync::Notify;

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[deployment(local)]
struct Local;

#[handle]
impl Local {
    fn new() -> Self {
        Self
    }

    pub async fn len(&self, value: Arc<Vec<u64>>) -> (usize, usize) {
        (value.len(), Arc::as_ptr(&value) as usize)
    }
}

/// Only in Local: over a wire the callee has an object of its own, at another address.
#[tokio::test(start_paused = true)]
async fn an_arc_is_shared_and_nothing_is_copied() -> Result<()> {
    let runtime = MockRuntime::builder().mode(Mode::Local).start();
    let local = runtime.run(Local::bind()).await?;
    let object = ObjectRef::put(vec![1_u64; 1000]);
    let here = Arc::as_ptr(&object.get().await?) as usize;
    assert_eq!(local.len(object.clone()).await?, (1000, here));
    assert_eq!(local.len(object).await?, (1000, here));
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
struct Gate(Mutex<mpsc::Receiver<()>>);

#[handle]
impl Gate {
    fn new(go: Arc<Mutex<Option<mpsc::Receiver<()>>>>) -> Self {
        Self(Mutex::new(go.lock().take().expect("there is one replica")))
    }

    /// Says that it has begun, and waits for a word.
    #[blocking]
    pub fn pass(&self, begun: Arc<Notify>) -> Bomb {
        begun.notify_one();
        let told = self.0.lock().recv();
        told.expect("it is told to go on");
        Bomb
    }

    #[blocking]
    pub fn hi(&self) -> u32 {
        1
    }
}

/// Only in Local: a value whose drop panics stands for a resource of this process, which cannot
/// be encoded. On the real runtime, whose replica has one compute thread.
#[tokio::test]
async fn a_result_that_panics_when_it_is_dropped_ends_no_compute_thread() -> Result<()> {
    let (go, gone) = mpsc::channel();
    let runtime = Runtime::builder().start().await?;
    let gate = runtime.run(Gate::bind(Arc::new(Mutex::new(Some(gone))))).await?;
    let begun = Arc::<Notify>::default();
    let call = gate.pass(Arc::clone(&begun));
    begun.notified().await;
    drop(call);
    // Now nobody waits for its result.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    go.send(()).expect("the method waits for it");
    assert_eq!(gate.hi().await, Ok(1));
    Ok(())
}

/// Set where a test runs in a process of its own.
const ALONE: &str = "SERVE_TEST_ALONE";

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

/// Only in Local: an encoded call allocates its bytes and what carries them. On the real runtime,
/// because a `MockRuntime` allocates for its records. In a process of its own, because the count
/// is of all threads, and other tests have theirs.
#[tokio::test]
async fn a_call_allocates_its_task_and_nothing_else_whether_it_waits_or_names_a_model() -> Result<()>
{
    const NAME: &str =
        "a_call_allocates_its_task_and_nothing_else_whether_it_waits_or_names_a_model";
    if std::env::var_os(ALONE).is_none() {
        let mut alone = Command::new(std::env::current_exe()?);
        let ran = alone.args([NAME, "--exact"]).env(ALONE, "1").output()?;
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}");
        return Ok(());
    }
    const PAIRS: usize = 1_000;
    let runtime = Runtime::builder().start().await?;
    let adder = runtime.run(Adder::bind(1)).await?;
    let pair = async || {
        // The second waits in the queue.
        let (first, second) = (adder.add(1), adder.add(2));
        assert_eq!((first.await, second.await), (Ok(2), Ok(3)));
    };
    // What grows once and stays does so here. The first calls of a method are timed, for which
    // their tasks allocate once more.
    for _ in 0..100 {
        pair().await;
    }
    let region = Region::new(GLOBAL);
    for _ in 0..PAIRS {
        pair().await;
    }
    let made = region.change().allocations;
    // The test runner's own thread may allocate a little meanwhile.
    assert!((2 * PAIRS..2 * PAIRS + 100).contains(&made), "{made} allocations");

    let translator = runtime.run(Application::new(Translator::bind()).name("models")).await?;
    let spanish = translator.options(CallOptions::new().multiplexed_model_id("es"));
    for _ in 0..100 {
        assert_eq!(spanish.translate(1).await?, 2);
    }
    let region = Region::new(GLOBAL);
    for _ in 0..PAIRS {
        assert_eq!(spanish.translate(1).await?, 2);
    }
    let made = region.change().allocations;
    assert!((PAIRS..PAIRS + 100).contains(&made), "{made} allocations for a model that is held");

    let routed =
        Adder::bind(1).num_replicas(10).request_router(RequestRouting::custom::<Curious>());
    let routed = runtime.run(Application::new(routed).name("routed")).await?;
    for _ in 0..100 {
        assert_eq!(routed.add(1).await?, 2);
    }
    let region = Region::new(GLOBAL);
    for _ in 0..PAIRS {
        assert_eq!(routed.add(1).await?, 2);
    }
    let made = region.change().allocations;
    assert!((PAIRS..PAIRS + 100).contains(&made), "{made} allocations by a router of one's own");

    for in_place in [true, false] {
        let runtime = Runtime::builder().in_place(in_place).start().await?;
        let caller = runtime.run(Caller::bind(Adder::bind(1))).await?;
        caller.calls(100).await?;
        let region = Region::new(GLOBAL);
        caller.calls(PAIRS).await?;
        let made = region.change().allocations;
        assert!((PAIRS..PAIRS + 100).contains(&made), "{made} allocations, in place: {in_place}");
    }
    Ok(())
}

/// Makes calls from inside a method.
#[deployment]
struct Caller {
    adder: AdderHandle,
}

#[handle]
impl Caller {
    fn new(adder: AdderHandle) -> Self {
        Self { adder }
    }

    pub async fn calls(&self, number: usize) -> Result<()> {
        for _ in 0..number {
            assert_eq!(self.adder.add(1).await?, 2);
        }
        Ok(())
    }
}
