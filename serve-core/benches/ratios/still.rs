//! Costs must not grow with what stands still: a call beside a thousand idle replicas,
//! whatever chooses among them, or beside a hundred idle applications, against the same
//! call alone.

use serve_core::prelude::*;
use serve_core::routing::{Candidate, Candidates, RequestRouter, RequestRouting, RoutedCall};

use super::calls::{Adder, AdderHandle, unary};
use super::models::{Translator, translate};
use super::paired::{Threads, paired};
use super::table::{Goal, Table};

/// What noise may make of 1.0, and the caches: of a thousand replicas, the two that a call
/// looks at are rarely in the nearest one.
const FLAT: Goal = Goal::AtMost(1.2);

/// A router of the user's own asks for the replicas it wants to look at, so its calls cost
/// about the same however many there are.
const OWN: Goal = Goal::AtMost(3.0);

/// A router of the user's own, which compares two random replicas and finds a third by its
/// rank: as much as it may look at without visiting all.
#[derive(Debug, Default)]
struct LooksAtThree;

impl RequestRouter for LooksAtThree {
    fn choose<'a>(&self, _: &RoutedCall<'_>, candidates: &Candidates<'a>) -> Option<Candidate<'a>> {
        let last = candidates.by_rank(candidates.len() - 1)?;
        let Some((one, other)) = candidates.random_pair() else { return Some(last) };
        [last, one, other].into_iter().min_by_key(|candidate| candidate.ongoing)
    }
}

/// Calls among many replicas, and among many applications.
pub(crate) async fn measure(table: &mut Table, threads: Threads) {
    let runtime = Runtime::builder().start().await.expect("tokio is here");
    let name = format!("unary call, 1,000 replicas, {threads}");
    if table.wants(&name) {
        let pair = runtime.run(application(Adder::bind(1).num_replicas(2), "pair")).await;
        let many = runtime.run(application(Adder::bind(1).num_replicas(1000), "many")).await;
        let (many, pair) = (many.expect("nothing keeps it"), pair.expect("nor this"));
        table.add(name, "with 2", FLAT, paired(unary(&many), unary(&pair)).await);
    }
    let name = format!("unary call, 100 applications, {threads}");
    if table.wants(&name) {
        let alone = Runtime::builder().start().await.expect("tokio is here");
        let lone = alone.run(Adder::bind(1)).await.expect("nothing keeps it from running");
        let mut all = Vec::new();
        for number in 0..100 {
            let application = application(Adder::bind(1), &format!("application-{number}"));
            all.push(runtime.run(application).await.expect("nothing keeps it"));
        }
        table.add(name, "with 1", FLAT, paired(unary(&all[50]), unary(&lone)).await);
        alone.shutdown().await;
    }
    runtime.shutdown().await;
}

/// Calls among many replicas, whatever chooses. On one thread: others make no difference to
/// how a choice is made.
pub(crate) async fn policies(table: &mut Table) {
    let runtime = Runtime::builder().start().await.expect("tokio is here");
    let named = CallOptions::new().session_id("dora");
    let policies = [
        ("power of two choices", RequestRouting::PowerOfTwoChoices, CallOptions::new(), FLAT),
        ("round robin", RequestRouting::RoundRobin, CallOptions::new(), FLAT),
        ("consistent hash", RequestRouting::ConsistentHash, named, FLAT),
        (
            "a router of one's own",
            RequestRouting::custom::<LooksAtThree>(),
            CallOptions::new(),
            OWN,
        ),
    ];
    for (policy, routing, options, goal) in policies {
        for count in [10, 1000] {
            let name = format!("{policy}, {count} replicas, 1 thread");
            if table.wants(&name) {
                let handle = async |count: usize| -> AdderHandle {
                    let bound = Adder::bind(1).num_replicas(count).request_router(routing.clone());
                    let application = application(bound, &format!("{policy}, {count}"));
                    let running = runtime.run(application).await;
                    running.expect("nothing keeps it").options(options.clone())
                };
                let (many, one) = (handle(count).await, handle(1).await);
                table.add(name, "with 1", goal, paired(unary(&many), unary(&one)).await);
            }
        }
    }
    held_models(table, &runtime).await;
    runtime.shutdown().await;
}

/// Calls for a model of which one replica of many has the only one. Each of the others has
/// a model too.
async fn held_models(table: &mut Table, runtime: &Runtime) {
    for count in [10, 1000] {
        let name = format!("who holds the model, {count} replicas, 1 thread");
        if !table.wants(&name) {
            continue;
        }
        let handle = async |count: usize| {
            let bound = Translator::bind().num_replicas(count);
            let running = runtime.run(Application::new(bound).name(format!("models-{count}")));
            let translator = running.await.expect("nothing keeps it");
            for model in 0..count {
                translate(&translator, &format!("model-{model}"))(1).await;
            }
            translator
        };
        let (many, one) = (handle(count).await, handle(1).await);
        let subject = translate(&many, &format!("model-{}", count / 2));
        table.add(name, "with 1", FLAT, paired(subject, translate(&one, "model-0")).await);
    }
}

fn application(bound: Bound<Adder>, name: &str) -> Application<Adder> {
    Application::new(bound).name(name)
}
