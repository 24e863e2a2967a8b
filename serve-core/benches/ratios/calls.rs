//! Calls in one process against the tokio primitives that they stand for.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::Stream;
use serve_core::prelude::*;
use tokio::sync::{Semaphore, mpsc};

use super::paired::{Threads, paired};
use super::table::{Goal, Table};

/// Slots of the queued deployment, and permits of its baseline.
const SLOTS: usize = 8;
/// Calls made at once on it: all but `SLOTS` of them wait.
const CROWD: usize = 64;
/// Items that wait between producer and consumer: what `ResponseStream` documents.
const CAPACITY: usize = 16;

#[deployment]
pub(crate) struct Adder {
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

    /// Holds its slot over one await, so that others have to wait for it.
    pub async fn add_later(&self, to: u64) -> u64 {
        tokio::task::yield_now().await;
        to + self.by
    }

    pub fn count(&self, to: u64) -> impl Stream<Item = u64> + use<> {
        let by = self.by;
        futures::stream::iter((0..to).map(move |number| number + by))
    }
}

/// Unary calls, the queue, and streams.
pub(crate) async fn measure(table: &mut Table, threads: Threads) {
    let runtime = Runtime::builder().start().await.expect("tokio is here");
    let adder = runtime.run(Adder::bind(1)).await.expect("nothing keeps it from running");
    let name = format!("unary call, {threads}");
    if table.wants(&name) {
        let ratio = paired(unary(&adder), spawned()).await;
        table.add(name, "`tokio::spawn` + await", Goal::AtMost(1.3), ratio);
    }
    let name = format!("call over a full queue, {threads}");
    if table.wants(&name) {
        let narrow = Adder::bind(1).max_ongoing_requests(SLOTS);
        let narrow = runtime.run(Application::new(narrow).name("narrow")).await;
        let ratio = paired(queued(&narrow.expect("as above")), permitted()).await;
        table.add(name, "`Semaphore` + spawn", Goal::AtMost(1.2), ratio);
    }
    let name = format!("stream, per item, {threads}");
    if table.wants(&name) {
        let ratio = paired(streamed(&adder), sent()).await;
        table.add(name, "bounded `mpsc`", Goal::AtMost(1.3), ratio);
    }
    runtime.shutdown().await;
}

/// One call after the other.
pub(crate) fn unary(adder: &AdderHandle) -> impl Fn(usize) -> BoxFuture + Send + Sync + use<> {
    let adder = adder.clone();
    move |repeats| {
        let adder = adder.clone();
        Box::pin(async move {
            for number in 0..repeats as u64 {
                assert_eq!(adder.add(number).await.expect("nothing fails it"), number + 1);
            }
        })
    }
}

type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn spawned() -> impl Fn(usize) -> BoxFuture + Send + Sync {
    let adder = Arc::new(Adder::new(1));
    move |repeats| {
        let adder = Arc::clone(&adder);
        Box::pin(async move {
            for number in 0..repeats as u64 {
                let adder = Arc::clone(&adder);
                let sum = tokio::spawn(async move { adder.add(number).await });
                assert_eq!(sum.await.expect("it does not panic"), number + 1);
            }
        })
    }
}

/// A crowd of calls at once; a repetition is one call.
fn queued(adder: &AdderHandle) -> impl Fn(usize) -> BoxFuture + Send + Sync + use<> {
    let adder = adder.clone();
    move |repeats| {
        let adder = adder.clone();
        Box::pin(async move {
            let mut crowd = Vec::with_capacity(CROWD);
            for _ in 0..repeats.div_ceil(CROWD) {
                crowd.extend((0..CROWD as u64).map(|number| adder.add_later(number)));
                for (number, call) in crowd.drain(..).enumerate() {
                    assert_eq!(call.await.expect("nothing fails it"), number as u64 + 1);
                }
            }
        })
    }
}

fn permitted() -> impl Fn(usize) -> BoxFuture + Send + Sync {
    let adder = Arc::new(Adder::new(1));
    let semaphore = Arc::new(Semaphore::new(SLOTS));
    move |repeats| {
        let (adder, semaphore) = (Arc::clone(&adder), Arc::clone(&semaphore));
        Box::pin(async move {
            let mut crowd = Vec::with_capacity(CROWD);
            for _ in 0..repeats.div_ceil(CROWD) {
                crowd.extend((0..CROWD as u64).map(|number| {
                    let (adder, semaphore) = (Arc::clone(&adder), Arc::clone(&semaphore));
                    tokio::spawn(async move {
                        let _permit = semaphore.acquire_owned().await.expect("it stays open");
                        adder.add_later(number).await
                    })
                }));
                for (number, call) in crowd.drain(..).enumerate() {
                    assert_eq!(call.await.expect("it does not panic"), number as u64 + 1);
                }
            }
        })
    }
}

/// One stream; a repetition is one item.
fn streamed(adder: &AdderHandle) -> impl Fn(usize) -> BoxFuture + Send + Sync + use<> {
    let adder = adder.clone();
    move |repeats| {
        let mut items = adder.count(repeats as u64);
        Box::pin(async move {
            let mut number = 0;
            while let Some(item) = items.next().await {
                number += 1;
                assert_eq!(item.expect("nothing fails it"), number);
            }
            assert_eq!(number, repeats as u64);
        })
    }
}

fn sent() -> impl Fn(usize) -> BoxFuture + Send + Sync {
    let adder = Arc::new(Adder::new(1));
    move |repeats| {
        let (sender, mut items) = mpsc::channel(CAPACITY);
        let adder = Arc::clone(&adder);
        let producer = tokio::spawn(async move {
            let mut stream = pin!(adder.count(repeats as u64));
            while let Some(item) = stream.next().await {
                if sender.send(item).await.is_err() {
                    return;
                }
            }
        });
        Box::pin(async move {
            let mut number = 0;
            while let Some(item) = items.recv().await {
                number += 1;
                assert_eq!(item, number);
            }
            assert_eq!(number, repeats as u64);
            producer.await.expect("it does not panic");
        })
    }
}
