//! How often a call allocates, beside what tokio itself needs. Counts, not times: they
//! are the same on every machine.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![allow(unreachable_pub, reason = "a handle has the public methods, and a bench no public face")]

use std::alloc::System;

use futures::future::join_all;
use serve_core::__private::{
    AnyMethod, CallError, Handlers, Method, MethodInfo, NoError, Shared, Unary, future_sizes,
};
use serve_core::prelude::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Calls to a count: enough that what grows once and stays does not show.
const CALLS: usize = 10_000;
/// Calls before a count.
const WARM_UP: u64 = 100;

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

/// Makes calls from inside a method.
#[deployment]
struct Caller {
    adder: AdderHandle,
}

#[handle]
impl Caller {
    pub fn new(adder: AdderHandle) -> Self {
        Self { adder }
    }

    pub async fn calls(&self, calls: u64) -> Result<()> {
        for number in 0..calls {
            assert_eq!(self.adder.add(number).await, Ok(number + 1));
        }
        Ok(())
    }
}

#[deployment]
struct Translator {
    models: Multiplexed<u64>,
}

#[handle]
impl Translator {
    pub fn new() -> Self {
        Self { models: Multiplexed::new(1, async |_id| Ok::<_, Error>(1)) }
    }

    pub async fn translate(&self, text: u64) -> Result<u64> {
        Ok(text + *self.models.current().await?)
    }

    #[batch(max_batch_size = 32, batch_wait_timeout = "1s")]
    pub async fn embed(&self, texts: Vec<u64>) -> Vec<u64> {
        texts
    }
}

/// `Adder::add` once more, written by hand: what `#[handle]` writes has no name here.
enum Add {}

impl Method for Add {
    type Deployment = Adder;
    type Args = (u64,);
    type Ok = u64;
    type Err = std::convert::Infallible;
    type ErrCodec = NoError;
    const INDEX: usize = 0;
    const INFO: MethodInfo = MethodInfo {
        name: "add",
        doc: "",
        params: &[],
        param_names: &["to"],
        returns: "u64",
        endpoint: None,
        streaming: false,
    };

    fn erased() -> &'static dyn AnyMethod {
        Adder::methods()[0]
    }
}

#[allow(refining_impl_trait, clippy::manual_async_fn, reason = "as generated code has it")]
impl Unary for Add {
    fn run(
        cell: Shared<Adder>,
        (to,): (u64,),
    ) -> impl Future<Output = Result<u64, CallError>> + Send {
        async move { Ok(cell.get().await.add(to).await) }
    }
}

/// Bytes that the spawned future of a call may have beside its method's own.
const ROOM: usize = 56;

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
    let caller = Caller::bind(Adder::bind(1));
    let in_place = Runtime::builder().in_place(true).start().await?;
    let caller = in_place.run(caller).await?;
    caller.calls(WARM_UP).await?;
    let region = Region::new(GLOBAL);
    caller.calls(CALLS as u64).await?;
    report("unary call from a method, in place", &region.change());
    counted("unary call that returns a `Result`", async |number| {
        assert_eq!(adder.twice(number).await.ok(), Some(number + 2));
    })
    .await;
    counted("two calls, of which one waits in the queue", async |number| {
        let (first, second) = (adder.add(number), adder.add(number));
        assert_eq!((first.await, second.await), (Ok(number + 1), Ok(number + 1)));
    })
    .await;
    let translator = runtime.run(Application::new(Translator::bind()).name("models")).await?;
    let spanish = translator.options(CallOptions::new().multiplexed_model_id("es"));
    counted("call for a model that is held", async |number| {
        assert_eq!(spanish.translate(number).await.ok(), Some(number + 1));
    })
    .await;
    counted("32 calls in one batch", async |number| {
        let calls = join_all((0..32).map(|text| translator.embed(number + text))).await;
        assert!(calls.iter().all(Result::is_ok));
    })
    .await;
    runtime.shutdown().await;
    let (spawned, method) = future_sizes::<Add>();
    println!("\nThe spawned future has {spawned} bytes, and its method's own future {method}.");
    assert!(spawned <= method + ROOM, "more than {ROOM} bytes beside the method's own");
    Ok(())
}

async fn counted(what: &str, repeat: impl AsyncFn(u64)) {
    // Before, for what grows once and stays, and for the first calls of a method, which are timed.
    for number in 0..WARM_UP {
        repeat(number).await;
    }
    let region = Region::new(GLOBAL);
    for number in 0..CALLS as u64 {
        repeat(number).await;
    }
    report(what, &region.change());
}

fn report(what: &str, change: &Stats) {
    let each = |total: usize| total as f64 / CALLS as f64;
    println!("| {what} | {:.2} | {:.0} |", each(change.allocations), each(change.bytes_allocated));
}
