//! The items of a batch are in the order in which their calls were admitted, whatever kind of call
//! they come from, and each item has its context.

use crate::support::events::Events;
use crate::support::runtimes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use serve_core::batching::batch_contexts;
use serve_core::dynamic::AnyHandle;
use serve_core::prelude::*;
use tokio::time::{Instant, sleep};

type Items = Events<u64>;

#[deployment]
struct Model {
    items: Items,
    took: Duration,
}

#[handle]
impl Model {
    fn new(items: Items, took: Duration) -> Self {
        Self { items, took }
    }

    #[batch(max_batch_size = 8, batch_wait_timeout = "1ms")]
    pub async fn embed(&self, items: Vec<u64>) -> Vec<u64> {
        self.items.note_all(items.iter().copied());
        sleep(self.took).await;
        items
    }

    #[blocking]
    #[batch(max_batch_size = 8, batch_wait_timeout = "1ms")]
    pub fn compute(&self, items: Vec<u64>) -> Vec<u64> {
        self.items.note_all(items.iter().copied());
        items
    }

    #[retry(max = 1)]
    #[batch(max_batch_size = 8, batch_wait_timeout = "1ms")]
    pub async fn steady(&self, items: Vec<u64>) -> Vec<u64> {
        self.items.note_all(items.iter().copied());
        items
    }

    #[batch(max_batch_size = 8, batch_wait_timeout = "1ms")]
    pub fn tokens(&self, items: Vec<u64>) -> impl Stream<Item = Vec<Option<u64>>> {
        self.items.note_all(items.iter().copied());
        futures::stream::iter([items.into_iter().map(Some).collect()])
    }
}

const CALLS: u64 = 100;

async fn model(slots: usize) -> Result<(Runtime, ModelHandle, Items)> {
    let items = Items::default();
    let runtime = runtimes::by_environment().await?;
    let bound = Model::bind(Arc::clone(&items), Duration::from_millis(1));
    let model = runtime.run(bound.max_ongoing_requests(slots)).await?;
    Ok((runtime, model, items))
}

/// Tokio runs the task that a worker spawned last before the others, so several workers are
/// where an order that depends on tasks shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn item_order_is_call_order_on_several_workers() -> Result<()> {
    for slots in [1_000, 16, 8] {
        let (_runtime, model, items) = model(slots).await?;
        for _ in 0..20 {
            // In a task, since the test's own thread is no worker.
            let model = model.clone();
            let calls =
                tokio::spawn(
                    async move { join_all((0..CALLS).map(|item| model.embed(item))).await },
                );
            assert!(calls.await.is_ok_and(|calls| calls.iter().all(Result::is_ok)));
            assert_eq!(items.take(), Vec::from_iter(0..CALLS), "{slots}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn item_order_holds_for_every_kind_of_batch() -> Result<()> {
    let (runtime, model, items) = model(16).await?;
    let named: AnyHandle = runtime
        .run_any(serve_core::dynamic::AnyApplication::from(
            Application::new(Model::bind(Arc::clone(&items), Duration::ZERO)).name("named"),
        ))
        .await?;
    for _ in 0..10 {
        let kinds = tokio::spawn({
            let (model, items, named) = (model.clone(), Arc::clone(&items), named.clone());
            async move {
                let taken = || items.take();
                join_all((0..CALLS).map(|item| model.compute(item))).await;
                let blocking = taken();
                let streams = (0..CALLS).map(|item| model.tokens(item).collect::<Vec<_>>());
                join_all(streams).await;
                let streaming = taken();
                let calls = (0..CALLS).map(|item| {
                    let arguments = BTreeMap::from([("items".to_owned(), vec![item.to_string()])]);
                    let call = named.call("embed", &arguments).expect("such a method");
                    call.collect::<Vec<_>>()
                });
                join_all(calls).await;
                let by_name = taken();
                join_all((0..CALLS).map(|item| model.steady(item))).await;
                [blocking, streaming, by_name, taken()]
            }
        });
        for kind in kinds.await.expect("it does not panic") {
            assert_eq!(kind, Vec::from_iter(0..CALLS));
        }
    }
    Ok(())
}

/// Calls wait for slots while replicas die under earlier calls.
#[tokio::test(start_paused = true)]
async fn rerouted_calls_stay_ahead_of_later_calls() -> Result<()> {
    let (items, took) = (Items::default(), Duration::from_millis(1));
    let runtime = MockRuntime::builder().start();
    let bound = Model::bind(Arc::clone(&items), took).max_ongoing_requests(4);
    let model = runtime.run(bound).await?;
    let calls: Vec<_> = (0..20).map(|item| model.embed(item)).collect();
    // The first four wait for a batch that has not begun.
    assert!(runtime.kill_replica::<Model>(0));
    for (item, call) in (0..).zip(calls) {
        assert_eq!(call.await?, item);
    }
    assert_eq!(items.seen(), Vec::from_iter(0..20));
    Ok(())
}

type Seen = (String, Option<String>, Option<u64>, String);

#[deployment]
#[derive(Default)]
struct Contexts;

fn seen() -> Vec<Seen> {
    let contexts = batch_contexts();
    let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now()).as_secs();
    contexts
        .iter()
        .map(|context| {
            (
                context.request_id().to_owned(),
                context.session_id().map(str::to_owned),
                context.deadline().map(left),
                context.application().to_owned(),
            )
        })
        .collect()
}

#[handle]
impl Contexts {
    #[batch(max_batch_size = 3, batch_wait_timeout = "10ms")]
    pub async fn of_batch(&self, items: Vec<u64>) -> Vec<(u64, Seen)> {
        items.into_iter().zip(seen()).collect()
    }

    #[blocking]
    #[batch(max_batch_size = 3, batch_wait_timeout = "10ms")]
    pub fn of_blocking_batch(&self, items: Vec<u64>) -> Vec<(u64, Seen)> {
        items.into_iter().zip(seen()).collect()
    }

    #[batch(max_batch_size = 3, batch_wait_timeout = "10ms")]
    pub fn of_stream(&self, items: Vec<u64>) -> impl Stream<Item = Vec<Option<(u64, Seen)>>> {
        futures::stream::once(async move { items.into_iter().zip(seen()).map(Some).collect() })
    }

    pub async fn alone(&self) -> Vec<Seen> {
        seen()
    }
}

#[tokio::test(start_paused = true)]
async fn batch_contexts_follow_the_item_order() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let contexts = runtime.run(Contexts::bind()).await?;
    let of = |item: u64| {
        let options = CallOptions::new()
            .request_id(format!("request {item}"))
            .session_id(format!("session {item}"))
            .timeout(Duration::from_secs(100 + item));
        contexts.options(options)
    };
    // One of them leaves before the batch begins, and is in no list.
    let check = |item: u64, (got, (id, session, left, application)): (u64, Seen)| {
        assert_eq!(got, item);
        assert_eq!(id, format!("request {item}"));
        assert_eq!(session, Some(format!("session {item}")));
        assert_eq!(left, Some(99 + item), "some milliseconds have passed");
        assert_eq!(application, "default");
    };
    let calls: Vec<_> = (0..3).map(|item| of(item).of_batch(item)).collect();
    for (item, call) in (0..).zip(calls) {
        // Full at once, so no time passes.
        let (got, (id, session, left, application)) = call.await?;
        assert_eq!(left, Some(100 + item));
        check(item, (got, (id, session, Some(99 + item), application)));
    }
    let mut calls: Vec<_> = (0..3).map(|item| of(item).of_blocking_batch(item)).collect();
    let left = calls.remove(1);
    drop(left);
    let late = of(3).of_blocking_batch(3);
    for (item, call) in [0, 2, 3].into_iter().zip(calls.into_iter().chain([late])) {
        assert_eq!(call.await?.1.0, format!("request {item}"));
    }
    let streams = (0..3).map(|item| of(item).of_stream(item).collect::<Vec<_>>());
    for (item, mut stream) in (0..).zip(join_all(streams).await) {
        let (got, seen) = stream.remove(0)?;
        assert_eq!((got, seen.0), (item, format!("request {item}")));
    }
    let alone = of(7).alone().await?;
    assert_eq!(alone.len(), 1);
    assert_eq!(alone[0].0, "request 7");
    assert!(batch_contexts().is_empty());
    Ok(())
}
