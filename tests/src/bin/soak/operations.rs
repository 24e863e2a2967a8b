//! Deploys, config changes, deletions and deaths, while the load goes on.

use std::time::Duration;

use serve_core::DeployError;
use serve_core::prelude::*;
use serve_core::routing::RequestRouting;
use tokio::time::sleep;

use crate::calls::{churned, patiently};
use crate::deployments::{
    ASKED_FOR, Batcher, Churn, ChurnHandle, Config, Counter, Front, Leaf, Models, Start, Version,
    WORKER_SLOTS, Worker, Zero,
};
use crate::dice::Dice;
use crate::ledger::{LEDGER, Operation, Outcome, fault, reason};
use crate::world::World;

/// What may come of a deploy.
#[derive(Clone, Copy, Debug)]
struct Terms {
    /// A constructor, or the user config, is to fail.
    fails: bool,
    /// The deploy cannot fail and cannot succeed by chance, since no other one is made meanwhile.
    alone: bool,
}

/// The versions of an application's deployments and their options.
fn application(
    worker: Bound<Worker>,
    [front, batcher, counter, models]: [Version; 4],
) -> Application<Front> {
    let (batcher, counter) = (Batcher::bind(batcher), Counter::bind(counter));
    Application::new(Front::bind(front, worker, batcher, counter, Models::bind(models)))
        .name("main")
}

/// The application that stays, as it is whenever the load pauses.
pub fn canonical() -> Application<Front> {
    let config = Config { number: 0, taken: true, takes_ms: 0 };
    let worker = Worker::bind(Version::good(0)).user_config(config);
    application(worker, [Version::good(0); 4])
}

/// What scales to zero, as it is whenever the load pauses.
pub fn canonical_zero() -> Application<Zero> {
    Application::new(Zero::bind(Version::good(0))).name("zero").route_prefix("/zero")
}

fn good(dice: &mut Dice) -> Version {
    let start = Start::In(if dice.percent(50) { 0 } else { dice.below(80) });
    // Few, so that it is often the one that runs.
    Version { number: dice.below(3), start }
}

/// A random version of the application that stays.
fn another(dice: &mut Dice) -> (Application<Front>, bool) {
    let fails = dice.percent(15);
    let (mut version, mut taken) = (good(dice), true);
    if fails {
        match dice.below(3) {
            0 => version.start = Start::Fails,
            1 => version.start = Start::Panics,
            _ => taken = false,
        }
        // New, so that no replica runs that has it already.
        version.number = 1_000 + dice.below(1 << 40);
    }
    let number = if taken { dice.below(3) } else { 3 };
    let number = u32::try_from(number).expect("it is below 4");
    let config = Config { number, taken, takes_ms: dice.below(30) };
    let worker = Worker::bind(version)
        .user_config(config)
        .num_replicas(dice.one_of(&[1, 2, 2, 3]))
        .max_ongoing_requests(dice.one_of(&[WORKER_SLOTS / 2, WORKER_SLOTS]))
        .max_surge_percent(dice.one_of(&[0.0, 100.0]))
        .request_router(match dice.below(3) {
            0 => RequestRouting::RoundRobin,
            1 => RequestRouting::ConsistentHash,
            _ => RequestRouting::PowerOfTwoChoices,
        });
    let others = [(); 4].map(|()| match dice.percent(25) {
        true => good(dice),
        false => Version::good(0),
    });
    (application(worker, others), fails)
}

/// Enters what came of a deploy.
fn judge<H>(op: Operation, result: Option<Result<H, DeployError>>, terms: Terms) -> Option<H> {
    let (outcome, handle) = match result {
        None => (Outcome::Wrong, None),
        Some(Ok(handle)) => {
            if terms.fails && terms.alone {
                fault(format!("{}: a version that cannot start was deployed", op.kind));
            }
            (Outcome::Answered, Some(handle))
        }
        Some(Err(error)) => {
            let text = error.to_string();
            let asked_for = text.contains(ASKED_FOR)
                && matches!(
                    error,
                    DeployError::Constructor { .. } | DeployError::UserConfig { .. }
                );
            let superseded = matches!(error, DeployError::Superseded(_) | DeployError::Deleted(_));
            reason(&format!("{}: {text}", op.kind));
            match (asked_for && (terms.fails || !terms.alone), superseded && !terms.alone) {
                (true, _) => (Outcome::Failed, None),
                (_, true) => (Outcome::GivenUp, None),
                _ => {
                    fault(format!("{} under {terms:?}: {error:?}", op.kind));
                    (Outcome::Wrong, None)
                }
            }
        }
    };
    LEDGER.end(op, outcome);
    handle
}

/// Updates the application that stays; at times again before the update has ended.
pub async fn update(world: &World, dice: &mut Dice) {
    let (first, fails) = another(dice);
    let op = LEDGER.send("update");
    if dice.percent(75) {
        let result = patiently(&op, world.runtime.run(first)).await;
        judge(op, result, Terms { fails, alone: true });
    } else {
        let ((second, fails_too), again) = (another(dice), LEDGER.send("update"));
        let pause = dice.up_to_ms(60);
        let later = async {
            sleep(pause).await;
            patiently(&again, world.runtime.run(second)).await
        };
        let (one, other) = tokio::join!(patiently(&op, world.runtime.run(first)), later);
        judge(op, one, Terms { fails, alone: false });
        judge(again, other, Terms { fails: fails_too, alone: false });
    }
    sleep(dice.up_to_ms(300)).await;
}

/// Updates what scales to zero, at any moment of that.
pub async fn update_zero(world: &World, dice: &mut Dice) {
    let op = LEDGER.send("update at zero");
    let version = good(dice);
    let zero = Zero::bind(version).max_surge_percent(dice.one_of(&[0.0, 100.0]));
    let zero = Application::new(zero).name("zero").route_prefix("/zero");
    let result = patiently(&op, world.runtime.run(zero)).await;
    judge(op, result, Terms { fails: false, alone: true });
    sleep(dice.up_to_ms(600)).await;
}

/// Runs an application, calls it, deletes it, and keeps its handle for the next time.
pub async fn churn(world: &World, dice: &mut Dice, kept: &mut Option<ChurnHandle>) {
    let op = LEDGER.send("run");
    let churn = Churn::bind(good(dice), Leaf::bind(good(dice)));
    let churn = Application::new(churn).name("churn").route_prefix("/churn");
    let result = patiently(&op, world.runtime.run(churn)).await;
    if let Some(handle) = judge(op, result, Terms { fails: false, alone: true }) {
        churned(&handle, dice).await;
        if let Some(kept) = kept {
            churned(kept, dice).await;
        }
        // Half of the handles are from an application that was deleted before.
        if dice.percent(50) {
            *kept = Some(handle);
        }
    }
    let calls = kept.clone().map(|handle| (handle, Dice::new(dice.below(u64::MAX), 0)));
    let calling = async {
        if let Some((handle, mut dice)) = calls {
            sleep(dice.up_to_ms(2)).await;
            churned(&handle, &mut dice).await;
        }
    };
    let op = LEDGER.send("delete");
    let (deleted, ()) = tokio::join!(patiently(&op, world.runtime.delete("churn")), calling);
    judge(op, deleted, Terms { fails: false, alone: true });
    sleep(dice.up_to_ms(100)).await;
}

/// Ends replicas, as if their processes had died.
pub async fn kill(world: &World, dice: &mut Dice) {
    let rank = usize::try_from(dice.below(3)).expect("it is below 3");
    let op = LEDGER.send("kill");
    let killed = match dice.below(8) {
        0 => world.runtime.kill_replica::<Front>(rank),
        1 => world.runtime.kill_replica::<Batcher>(rank),
        2 => world.runtime.kill_replica::<Counter>(0),
        3 => world.runtime.kill_replica::<Models>(rank),
        4 => world.runtime.kill_replica::<Zero>(rank),
        5 => world.runtime.kill_replica::<Leaf>(rank),
        _ => world.runtime.kill_replica::<Worker>(rank),
    };
    // Otherwise there is no such replica now.
    LEDGER.end(op, if killed { Outcome::Answered } else { Outcome::NotStarted });
    sleep(dice.up_to_ms(150)).await;
}

/// Makes a replica fail its health checks.
pub async fn sicken(world: &World, dice: &mut Dice) {
    let op = LEDGER.send("sicken");
    let result = patiently(&op, world.worker.sicken(op.number)).await;
    let outcome = match result {
        Some(Ok(_)) => Outcome::Answered,
        Some(Err(error)) => {
            reason(&format!("sicken: {error}"));
            Outcome::Died
        }
        None => Outcome::Wrong,
    };
    LEDGER.end(op, outcome);
    sleep(Duration::from_millis(700) + dice.up_to_ms(1_500)).await;
}
