//! The load through handles.

use std::fmt::{Debug, Display};
use std::sync::Arc;
use std::time::Duration;

use serve_core::futures::{FutureExt as _, future, stream};
use serve_core::prelude::*;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::deployments::{ASKED_FOR, BROKEN_MODEL, Counter, End, Version, shorten};
use crate::dice::Dice;
use crate::gauges::runs;
use crate::ledger::{LEDGER, Operation, Outcome, fault, reason};
use crate::world::World;

/// After this time a call that should have ended is a fault.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The failures that a call may have besides those that its replica's end and the load cause.
#[derive(Clone, Copy, Debug)]
struct Terms {
    /// The call was asked to fail or to panic.
    fails: bool,
    /// The call has a deadline.
    deadline: bool,
    /// The call was cancelled.
    cancelled: bool,
    /// An argument came from another call, or the method passes on the failures of its callees.
    callees: bool,
    /// How often the method may run.
    runs: u64,
}

const PLAIN: Terms =
    Terms { fails: false, deadline: false, cancelled: false, callees: false, runs: 1 };

/// Judges the failure of a call.
fn failure<E: Display + Debug>(op: &Operation, error: &CallError<E>, terms: Terms) -> Outcome {
    let Operation { kind, number } = op;
    let ran = runs(*number);
    if ran > 0 && !error.may_have_run() {
        fault(format!("{kind} {number} ran, and is said not to have run: {error}"));
    }
    if ran > terms.runs {
        fault(format!("{kind} {number} ran {ran} times: {error}"));
    }
    let wrong = |why: &str| {
        fault(format!("{kind} {number}: {why}: {error} ({error:?})"));
        Outcome::Wrong
    };
    match error {
        CallError::App(error) if error.to_string().contains(ASKED_FOR) && terms.fails => {
            Outcome::Failed
        }
        CallError::App(error) if terms.callees => {
            reason(&format!("{kind}: {error}"));
            Outcome::Died
        }
        CallError::Panicked(message) if terms.fails && message.starts_with(ASKED_FOR) => {
            Outcome::Failed
        }
        CallError::Upstream(_) if terms.callees => Outcome::NotStarted,
        CallError::DeadlineExceeded if terms.deadline => Outcome::Late,
        CallError::Cancelled if terms.cancelled => Outcome::GivenUp,
        CallError::Overloaded { .. } => Outcome::Overloaded,
        CallError::Unavailable { started, reason: why, deployment } => {
            // A `#[blocking]` call counts as begun while it waits for a thread: it may have run.
            if *started && ran == 0 && !kind.contains("blocking") {
                fault(format!("{kind} {number} did not run, and is said to have run: {error}"));
            }
            reason(&format!("{deployment}, started {started}: {why}"));
            if *started { Outcome::Died } else { Outcome::NotStarted }
        }
        _ => wrong("an unexpected failure"),
    }
}

/// Judges the result of a call whose value is its own number.
fn judge<E: Display + Debug>(
    op: &Operation,
    result: &Result<u64, CallError<E>>,
    terms: Terms,
) -> Outcome {
    let Operation { kind, number } = op;
    match result {
        Ok(answer) if answer == number => {
            let ran = runs(*number);
            if ran == 0 || ran > terms.runs {
                fault(format!("{kind} {number} was answered, and ran {ran} times"));
            }
            Outcome::Answered
        }
        Ok(answer) => {
            fault(format!("{kind} {number} was answered with {answer}"));
            Outcome::Wrong
        }
        Err(error) => failure(op, error, terms),
    }
}

/// Waits for something that has to come.
pub async fn patiently<T>(op: &Operation, awaited: impl Future<Output = T>) -> Option<T> {
    let result = timeout(PATIENCE, awaited).await;
    if result.is_err() {
        fault(format!("{} {} has no end after {PATIENCE:?}", op.kind, op.number));
    }
    result.ok()
}

/// Waits for a call, and enters what came of it.
async fn settle<E: Display + Debug>(
    op: Operation,
    response: impl Future<Output = Result<u64, CallError<E>>>,
    terms: Terms,
) {
    let outcome = match patiently(&op, response).await {
        Some(result) => judge(&op, &result, terms),
        None => Outcome::Wrong,
    };
    LEDGER.end(op, outcome);
}

/// Waits for a call for a limited time, and then drops it.
async fn or_drop<E: Display + Debug>(
    op: Operation,
    response: impl Future<Output = Result<u64, CallError<E>>>,
    limit: Duration,
    terms: Terms,
) {
    let outcome = match timeout(limit, response).await {
        Ok(result) => judge(&op, &result, terms),
        Err(_) => Outcome::GivenUp,
    };
    LEDGER.end(op, outcome);
}

/// Reads a stream of the numbers below `count`, and drops it after `most` of them.
async fn read<E: Display + Debug>(
    op: Operation,
    items: impl Stream<Item = Result<u64, CallError<E>>>,
    (count, most): (u64, u64),
    terms: Terms,
) {
    let mut items = std::pin::pin!(items);
    let mut next = 0;
    let outcome = loop {
        if next >= most {
            break Outcome::GivenUp;
        }
        match patiently(&op, items.next()).await {
            None => break Outcome::Wrong,
            Some(None) if next == count => break Outcome::Answered,
            Some(None) => {
                fault(format!("{} {} ended after {next} of {count}", op.kind, op.number));
                break Outcome::Wrong;
            }
            Some(Some(Ok(item))) if item == next => next += 1,
            Some(Some(Ok(item))) => {
                fault(format!("{} {}: {item} in place of {next}", op.kind, op.number));
                break Outcome::Wrong;
            }
            Some(Some(Err(error))) => {
                let outcome = failure(&op, &error, terms);
                if let Some(Some(more)) = patiently(&op, items.next()).await {
                    let more = more.map_err(|error| error.to_string());
                    fault(format!("{} {}: {more:?} after {error}", op.kind, op.number));
                }
                break outcome;
            }
        }
    };
    LEDGER.end(op, outcome);
}

/// The kinds of calls, each with how often it is made in comparison with the others.
const KINDS: [(&str, u64); 26] = [
    ("quick", 12),
    ("work", 12),
    ("work fails", 3),
    ("work panics", 1),
    ("deadline", 4),
    ("dropped", 5),
    ("cancelled", 3),
    ("detached", 2),
    ("argument", 5),
    ("object reference", 3),
    ("retried", 5),
    ("stream", 4),
    ("stream dropped", 4),
    ("input stream", 3),
    ("echo", 3),
    ("blocking", 4),
    ("blocking stream", 2),
    ("nested blocking", 2),
    ("batch", 5),
    ("batch blocking", 3),
    ("batch stream", 2),
    ("one at a time", 5),
    ("model", 6),
    ("chain", 6),
    ("task", 2),
    ("rush", 1),
];

/// Makes one call, or some calls together.
pub async fn one(world: &World, dice: &mut Dice) {
    let (kind, _) = KINDS[dice.weighted(KINDS.iter().map(|(_, weight)| *weight))];
    let time = dice.below(8);
    let World { front, worker, batcher, counter, models, .. } = world;
    let op = LEDGER.send(kind);
    let number = op.number;
    match kind {
        "quick" => settle(op, worker.quick(number), PLAIN).await,
        "work" => settle(op, worker.work(number, time, End::Answer), PLAIN).await,
        "work fails" => {
            settle(op, worker.work(number, time, End::Fail), Terms { fails: true, ..PLAIN }).await;
        }
        "work panics" => {
            settle(op, worker.work(number, time, End::Panic), Terms { fails: true, ..PLAIN }).await;
        }
        "deadline" => {
            let late = worker.options(CallOptions::new().timeout(dice.up_to_ms(10)));
            let response = late.work(number, 2 * time, End::Answer);
            settle(op, response, Terms { deadline: true, ..PLAIN }).await;
        }
        "dropped" => {
            let response = worker.work(number, 2 * time, End::Answer);
            or_drop(op, response, dice.up_to_ms(8), PLAIN).await;
        }
        "cancelled" => {
            let response = worker.work(number, 2 * time, End::Answer);
            sleep(dice.up_to_ms(8)).await;
            response.cancel();
            settle(op, response, Terms { cancelled: true, ..PLAIN }).await;
        }
        "detached" => {
            worker.work(number, time, End::Answer).detach();
            LEDGER.end(op, Outcome::GivenUp);
        }
        "argument" => {
            let inner = LEDGER.send("argument, inner");
            let input = worker.work(inner.number, time, End::Answer);
            let terms = Terms { callees: true, ..PLAIN };
            let response = worker.after(number, input);
            match dice.percent(80) {
                true => settle(op, response, terms).await,
                false => or_drop(op, response, dice.up_to_ms(8), terms).await,
            }
            LEDGER.end(inner, Outcome::GivenUp);
        }
        "object reference" => {
            let inner = LEDGER.send("argument, inner");
            let reference = worker.work(inner.number, time, End::Answer).object_ref();
            let both = vec![reference.clone(), reference.clone()];
            let terms = Terms { callees: true, ..PLAIN };
            settle(op, worker.by_reference(number, both), terms).await;
            let outcome = match reference.await {
                Ok(answer) if answer == inner.number => Outcome::Answered,
                Ok(answer) => {
                    fault(format!("the reference {} is {answer}", inner.number));
                    Outcome::Wrong
                }
                Err(error) => {
                    reason(&format!("a reference: {error}"));
                    Outcome::Died
                }
            };
            LEDGER.end(inner, outcome);
        }
        "retried" => {
            settle(op, worker.retried(number, time), Terms { runs: 3, ..PLAIN }).await;
        }
        "stream" => {
            let count = dice.below(60);
            read(op, worker.items(number, count, 0), (count, u64::MAX), PLAIN).await;
        }
        "stream dropped" => {
            let (count, pause) = (1 + dice.below(60), dice.below(2));
            let most = dice.below(count);
            read(op, worker.items(number, count, pause), (count, most), PLAIN).await;
        }
        "input stream" => {
            let count = dice.below(60);
            let response = worker.sum(number, stream::iter(0..count));
            let terms = Terms { callees: true, ..PLAIN };
            let sum = count * count.saturating_sub(1) / 2;
            let answered = async move {
                let answer = response.await?;
                Ok::<_, CallError<Error>>(if answer == sum { number } else { answer })
            };
            settle(op, answered, terms).await;
        }
        "echo" => {
            let count = dice.below(60);
            let source = worker.items(0u64, count, 0u64);
            let most = if dice.percent(50) { u64::MAX } else { dice.below(count + 1) };
            let terms = Terms { callees: true, ..PLAIN };
            read(op, worker.echo(number, source), (count, most), terms).await;
        }
        "blocking" => {
            let response = worker.compute(number, dice.below(2_000));
            match dice.percent(70) {
                true => settle(op, response, PLAIN).await,
                false => or_drop(op, response, dice.up_to_ms(3), PLAIN).await,
            }
        }
        "blocking stream" => {
            let count = dice.below(40);
            let most = if dice.percent(50) { u64::MAX } else { dice.below(count + 1) };
            read(op, worker.generate(number, count), (count, most), PLAIN).await;
        }
        "nested blocking" => {
            settle(op, front.waits(number), Terms { callees: true, ..PLAIN }).await;
        }
        "batch" => {
            let together = (1..1 + dice.below(12)).map(|_| LEDGER.send(kind));
            let together: Vec<_> = together.chain([op]).collect();
            let calls = together.into_iter().map(|op| {
                let fail = dice.percent(10);
                let response = batcher.double(op.number, fail);
                let terms = Terms { fails: fail, ..PLAIN };
                match dice.percent(85) {
                    true => settle(op, response, terms).boxed(),
                    false => or_drop(op, response, dice.up_to_ms(5), terms).boxed(),
                }
            });
            let calls: Vec<_> = calls.collect();
            future::join_all(calls).await;
        }
        "batch blocking" => settle(op, batcher.crunch(number), PLAIN).await,
        "batch stream" => {
            let count = dice.below(40);
            let most = if dice.percent(60) { u64::MAX } else { dice.below(count + 1) };
            read(op, batcher.count(number, count), (count, most), PLAIN).await;
        }
        "one at a time" => {
            let response = counter.add(number, dice.below(2));
            match dice.percent(80) {
                true => settle(op, response, PLAIN).await,
                false => or_drop(op, response, dice.up_to_ms(4), PLAIN).await,
            }
        }
        "model" => {
            let broken = dice.percent(5);
            let id = dice.one_of(&["a", "b", "c", "d", "e"]);
            let id = if broken { BROKEN_MODEL } else { id };
            let models = models.options(CallOptions::new().multiplexed_model_id(id));
            let terms = Terms { fails: broken, ..PLAIN };
            match dice.percent(85) {
                true => settle(op, models.infer(number), terms).await,
                false => or_drop(op, models.infer(number), dice.up_to_ms(4), terms).await,
            }
        }
        "chain" => {
            let response = front.chain(number, time);
            let terms = Terms { callees: true, ..PLAIN };
            match dice.percent(85) {
                true => settle(op, response, terms).await,
                false => or_drop(op, response, dice.up_to_ms(10), terms).await,
            }
        }
        "task" => settle(op, shorten::remote(number), PLAIN).await,
        _ => {
            // More than there are slots and places.
            let together = (0..dice.below(150)).map(|_| LEDGER.send(kind));
            let together: Vec<_> = together.chain([op]).collect();
            let calls = together.into_iter().map(|op| {
                let response = worker.work(op.number, time, End::Answer);
                settle(op, response, PLAIN)
            });
            future::join_all(calls.collect::<Vec<_>>()).await;
        }
    }
}

/// Makes calls of an actor, and drops it.
pub async fn actor(world: &World, dice: &mut Dice) {
    let op = LEDGER.send("actor");
    let started = world.runtime.actor(Counter::bind(Version::good(dice.below(9))));
    let actor = match patiently(&op, started).await {
        Some(Ok(actor)) => actor,
        Some(Err(error)) => {
            fault(format!("an actor does not start: {error}"));
            return LEDGER.end(op, Outcome::Wrong);
        }
        None => return LEDGER.end(op, Outcome::Wrong),
    };
    LEDGER.end(op, Outcome::Answered);
    let calls = (0..dice.below(5)).map(|_| {
        let op = LEDGER.send("actor's call");
        let response = actor.add(op.number, dice.below(3));
        settle(op, response, PLAIN)
    });
    let calls: Vec<_> = calls.collect();
    future::join_all(calls).await;
}

/// Bursts of calls to what scales to zero, and silence between them.
pub async fn burst(world: &World, dice: &mut Dice) {
    let calls = (0..1 + dice.below(12)).map(|_| {
        let op = LEDGER.send("scaled to zero");
        let response = world.zero.nap(op.number, dice.below(30));
        match dice.percent(90) {
            true => settle(op, response, PLAIN).boxed(),
            false => or_drop(op, response, dice.up_to_ms(30), PLAIN).boxed(),
        }
    });
    let calls: Vec<_> = calls.collect();
    future::join_all(calls).await;
    sleep(dice.up_to_ms(500)).await;
}

/// Calls on a handle of an application that may be gone.
pub async fn churned(handle: &crate::deployments::ChurnHandle, dice: &mut Dice) {
    let calls = (0..1 + dice.below(6)).map(|_| {
        let op = LEDGER.send("comes and goes");
        let response = handle.work(op.number, dice.below(5));
        settle(op, response, Terms { callees: true, ..PLAIN })
    });
    let calls: Vec<_> = calls.collect();
    future::join_all(calls).await;
}

/// A call from a thread without async code.
pub async fn from_a_thread(world: &Arc<World>, dice: &mut Dice) {
    let op = LEDGER.send("from a thread");
    let (world, time) = (Arc::clone(world), dice.below(3));
    let number = op.number;
    let (sender, called) = oneshot::channel();
    std::thread::spawn(move || {
        let result = world.worker.work(number, time, End::Answer).result();
        // The task that waits for it ends with the process at the latest.
        let _ = sender.send(result);
    });
    let called = async { called.await.expect("a call does not panic") };
    settle(op, called, PLAIN).await;
}
