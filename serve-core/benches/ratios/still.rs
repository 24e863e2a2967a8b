//! Costs must not grow with what stands still: a call beside a thousand idle replicas or
//! a hundred idle applications, against the same call alone.

use serve_core::prelude::*;

use super::calls::{Adder, unary};
use super::paired::{Threads, paired};
use super::table::{Goal, Table};

/// What noise may make of 1.0, and the caches: of a thousand replicas, the two that a call
/// looks at are rarely in the nearest one.
const FLAT: Goal = Goal::AtMost(1.2);

/// Calls among many replicas, and among many applications.
pub(crate) async fn measure(table: &mut Table, threads: Threads) {
    let runtime = Runtime::builder().start().await.expect("tokio is here");
    let name = format!("unary call, 1,000 replicas, {threads}");
    if table.wants(&name) {
        let pair = runtime.run(named(Adder::bind(1).num_replicas(2), "pair")).await;
        let many = runtime.run(named(Adder::bind(1).num_replicas(1000), "many")).await;
        let (many, pair) = (many.expect("nothing keeps it"), pair.expect("nor this"));
        table.add(name, "with 2", FLAT, paired(unary(&many), unary(&pair)).await);
    }
    let name = format!("unary call, 100 applications, {threads}");
    if table.wants(&name) {
        let alone = Runtime::builder().start().await.expect("tokio is here");
        let lone = alone.run(Adder::bind(1)).await.expect("nothing keeps it from running");
        let mut all = Vec::new();
        for number in 0..100 {
            let application = named(Adder::bind(1), &format!("application-{number}"));
            all.push(runtime.run(application).await.expect("nothing keeps it"));
        }
        table.add(name, "with 1", FLAT, paired(unary(&all[50]), unary(&lone)).await);
        alone.shutdown().await;
    }
    runtime.shutdown().await;
}

fn named(bound: impl Into<Application<Adder>>, name: &str) -> Application<Adder> {
    bound.into().name(name)
}
