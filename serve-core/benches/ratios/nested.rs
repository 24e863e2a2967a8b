//! Calls that a served method makes, against tasks that a task spawns.

use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::join_all;
use serve_core::prelude::*;

use super::calls::{Adder, AdderHandle};
use super::paired::{Threads, paired};
use super::table::{Goal, Table};

/// Calls that are made at once. A repetition is one crowd.
const CROWD: usize = 64;

/// Computes for about 20 µs.
fn compute() -> u64 {
    let mut state = 1_u64;
    for step in 0..20_000 {
        state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step));
    }
    state
}

/// Pending at its first poll. Unlike `yield_now`, it is woken at once.
struct SuspendOnce(bool);

impl Future for SuspendOnce {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[deployment(max_ongoing_requests = 1000)]
struct Busy;

#[handle]
impl Busy {
    pub fn new() -> Self {
        Self
    }

    pub async fn suspend(&self, number: u64) -> u64 {
        SuspendOnce(false).await;
        number + 1
    }

    pub async fn compute(&self, number: u64) -> u64 {
        black_box(compute());
        number + 1
    }
}

macro_rules! link {
    ($name:ident, $next:ty) => {
        #[deployment]
        struct $name {
            next: $next,
        }

        #[handle]
        impl $name {
            pub fn new(next: $next) -> Self {
                Self { next }
            }

            pub async fn add(&self, to: u64) -> Result<u64> {
                Ok(self.next.add(to).await?)
            }
        }
    };
}

link!(Third, AdderHandle);
link!(Second, ThirdHandle);
link!(First, SecondHandle);

#[deployment]
struct Caller {
    adder: AdderHandle,
    crowded: AdderHandle,
    chain: FirstHandle,
    busy: BusyHandle,
}

#[handle]
impl Caller {
    pub fn new(
        adder: AdderHandle,
        crowded: AdderHandle,
        chain: FirstHandle,
        busy: BusyHandle,
    ) -> Self {
        Self { adder, crowded, chain, busy }
    }

    pub async fn unary(&self, repeats: usize) {
        for number in 0..repeats as u64 {
            assert_eq!(self.adder.add(number).await.expect("nothing fails it"), number + 1);
        }
    }

    pub async fn suspending(&self, repeats: usize) {
        for number in 0..repeats as u64 {
            assert_eq!(self.busy.suspend(number).await.expect("nothing fails it"), number + 1);
        }
    }

    pub async fn chained(&self, repeats: usize) {
        for number in 0..repeats as u64 {
            assert_eq!(self.chain.add(number).await.expect("nothing fails it"), number + 1);
        }
    }

    pub async fn crowds(&self, repeats: usize) {
        for _ in 0..repeats {
            for sum in join_all((0..CROWD as u64).map(|number| self.crowded.add(number))).await {
                black_box(sum.expect("nothing fails it"));
            }
        }
    }

    pub async fn busy_crowds(&self, repeats: usize) {
        for _ in 0..repeats {
            for sum in join_all((0..CROWD as u64).map(|number| self.busy.compute(number))).await {
                black_box(sum.expect("nothing fails it"));
            }
        }
    }
}

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
type Baseline = fn(Arc<Adder>, usize) -> BoxFuture;
type Subject = fn(CallerHandle, usize) -> BoxFuture;

fn unary(adder: Arc<Adder>, repeats: usize) -> BoxFuture {
    Box::pin(async move {
        for number in 0..repeats as u64 {
            let adder = Arc::clone(&adder);
            let sum = tokio::spawn(async move { adder.add(number).await });
            assert_eq!(sum.await.expect("it does not panic"), number + 1);
        }
    })
}

fn suspending(_: Arc<Adder>, repeats: usize) -> BoxFuture {
    Box::pin(async move {
        for number in 0..repeats as u64 {
            let sum = tokio::spawn(async move {
                SuspendOnce(false).await;
                number + 1
            });
            assert_eq!(sum.await.expect("it does not panic"), number + 1);
        }
    })
}

fn chained(adder: Arc<Adder>, repeats: usize) -> BoxFuture {
    Box::pin(async move {
        for number in 0..repeats as u64 {
            let adder = Arc::clone(&adder);
            let sum = tokio::spawn(async move {
                let sum = tokio::spawn(async move {
                    let sum = tokio::spawn(async move {
                        let sum = tokio::spawn(async move { adder.add(number).await });
                        sum.await.expect("it does not panic")
                    });
                    sum.await.expect("it does not panic")
                });
                sum.await.expect("it does not panic")
            });
            assert_eq!(sum.await.expect("it does not panic"), number + 1);
        }
    })
}

fn crowds(adder: Arc<Adder>, repeats: usize) -> BoxFuture {
    Box::pin(async move {
        for _ in 0..repeats {
            let calls = (0..CROWD as u64).map(|number| {
                let adder = Arc::clone(&adder);
                tokio::spawn(async move { adder.add(number).await })
            });
            for sum in join_all(calls).await {
                black_box(sum.expect("it does not panic"));
            }
        }
    })
}

fn busy_crowds(_: Arc<Adder>, repeats: usize) -> BoxFuture {
    Box::pin(async move {
        for _ in 0..repeats {
            let calls = (0..CROWD as u64).map(|number| {
                tokio::spawn(async move {
                    black_box(compute());
                    number + 1
                })
            });
            for sum in join_all(calls).await {
                black_box(sum.expect("it does not panic"));
            }
        }
    })
}

macro_rules! subject {
    ($method:ident) => {
        |caller, repeats| {
            Box::pin(async move { caller.$method(repeats).await.expect("nothing fails it") })
        }
    };
}

pub(crate) async fn measure(table: &mut Table, threads: Threads) {
    let rows: [(&str, &'static str, Goal, Subject, Baseline); 5] = [
        ("unary call", "`tokio::spawn` + await", Goal::AtMost(0.55), subject!(unary), unary),
        (
            "call that suspends once",
            "the same body spawned",
            Goal::AtMost(1.3),
            subject!(suspending),
            suspending,
        ),
        ("chain of four", "four nested spawns", Goal::AtMost(0.55), subject!(chained), chained),
        ("64 calls at once", "64 spawns", Goal::Seen, subject!(crowds), crowds),
        (
            "64 calls of 20 µs at once",
            "64 spawns",
            if threads == Threads::Two { Goal::AtMost(1.05) } else { Goal::Seen },
            subject!(busy_crowds),
            busy_crowds,
        ),
    ];
    let name = |row: &str| format!("{row} from a method, {threads}");
    if !rows.iter().any(|(row, ..)| table.wants(&name(row))) {
        return;
    }
    let runtime = Runtime::builder().start().await.expect("tokio is here");
    let adder = Adder::bind(1);
    let crowded = Adder::bind(1).name("crowded").max_ongoing_requests(1000);
    let chain = First::bind(Second::bind(Third::bind(Adder::bind(1).name("last"))));
    let caller = Caller::bind(adder, crowded, chain, Busy::bind());
    let caller = runtime.run(caller).await.expect("nothing keeps it from running");
    for (row, against, goal, subject, baseline) in rows {
        let row = name(row);
        if table.wants(&row) {
            let (caller, adder) = (caller.clone(), Arc::new(Adder::new(1)));
            let subject = move |repeats| subject(caller.clone(), repeats);
            let ratio = paired(subject, move |repeats| baseline(Arc::clone(&adder), repeats)).await;
            table.add(row, against, goal, ratio);
        }
    }
    runtime.shutdown().await;
}
