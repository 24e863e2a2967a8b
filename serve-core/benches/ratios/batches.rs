//! `#[batch]` against the loop that one would write by hand: items and their callers come
//! through a channel, and `recv_many` takes as many as there are.

use std::hint::black_box;

use serve_core::prelude::*;
use tokio::sync::{mpsc, oneshot};

use super::paired::{Threads, paired};
use super::table::{Goal, Table};

/// Items to a batch, on both sides.
const SIZE: usize = 32;
/// Calls made at once: two batches, so that one fills while the other runs.
const CROWD: usize = 2 * SIZE;
/// Steps that take about a millisecond: what a small model needs for a batch.
const STEPS: u64 = 1_000_000;

#[deployment]
struct Embedder;

#[handle]
impl Embedder {
    pub fn new() -> Self {
        Self
    }

    #[batch(max_batch_size = 32, batch_wait_timeout = "10ms")]
    pub async fn embed(&self, texts: Vec<u64>) -> Vec<u64> {
        embed(texts)
    }

    #[batch(max_batch_size = 32, batch_wait_timeout = "10ms")]
    pub async fn pass(&self, texts: Vec<u64>) -> Vec<u64> {
        pass(texts)
    }
}

/// Takes as long for many texts as for one, which is why one batches.
fn embed(texts: Vec<u64>) -> Vec<u64> {
    let mut state = 1_u64;
    for step in 0..STEPS {
        state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step));
    }
    pass(texts)
}

fn pass(texts: Vec<u64>) -> Vec<u64> {
    texts.into_iter().map(|text| text + 1).collect()
}

/// Batches that take a while, where only their number should count; and batches that take
/// no time, for what each item costs.
pub(crate) async fn measure(table: &mut Table, threads: Threads) {
    let runtime = Runtime::builder().start().await.expect("tokio is here");
    let embedder = runtime.run(Embedder::bind()).await.expect("nothing keeps it from running");
    let name = format!("batches of 32 that take 1 ms, {threads}");
    if table.wants(&name) {
        let embedder = embedder.clone();
        let ratio = paired(batched(move |text| embedder.embed(text)), looped(embed)).await;
        table.add(name, "`recv_many` loop", Goal::AtMost(1.1), ratio);
    }
    let name = format!("batches of 32 that take no time, {threads}");
    if table.wants(&name) {
        let ratio = paired(batched(move |text| embedder.pass(text)), looped(pass)).await;
        table.add(name, "`recv_many` loop", Goal::Seen, ratio);
    }
    runtime.shutdown().await;
}

type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// A repetition is one item.
fn batched(
    call: impl Fn(u64) -> Response<u64> + Clone + Send + Sync + 'static,
) -> impl Fn(usize) -> BoxFuture + Send + Sync {
    move |repeats| {
        let call = call.clone();
        Box::pin(async move {
            let mut crowd = Vec::with_capacity(CROWD);
            for _ in 0..repeats.div_ceil(CROWD) {
                crowd.extend((0..CROWD as u64).map(&call));
                for (text, response) in crowd.drain(..).enumerate() {
                    assert_eq!(response.await.expect("nothing fails it"), text as u64 + 1);
                }
            }
        })
    }
}

fn looped(body: fn(Vec<u64>) -> Vec<u64>) -> impl Fn(usize) -> BoxFuture + Send + Sync {
    move |repeats| {
        let (sender, mut receiver) = mpsc::channel::<(u64, oneshot::Sender<u64>)>(CROWD);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(SIZE);
            while receiver.recv_many(&mut batch, SIZE).await > 0 {
                let (texts, callers): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
                for (result, caller) in body(texts).into_iter().zip(callers) {
                    caller.send(result).expect("its caller waits");
                }
            }
        });
        Box::pin(async move {
            let mut crowd = Vec::with_capacity(CROWD);
            for _ in 0..repeats.div_ceil(CROWD) {
                for text in 0..CROWD as u64 {
                    let (caller, result) = oneshot::channel();
                    sender.send((text, caller)).await.expect("the loop runs");
                    crowd.push(result);
                }
                for (text, result) in crowd.drain(..).enumerate() {
                    assert_eq!(result.await.expect("the loop runs"), text as u64 + 1);
                }
            }
        })
    }
}
