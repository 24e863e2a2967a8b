//! Which replicas start and which stop next, while a deployment is brought to another
//! version or another number of replicas.
//!
//! The options are Ray Serve's: `rolling_update_percentage` says how many replicas may be
//! away at a time (a batch: that part of the target, rounded down, at least 1), and
//! `max_surge_percent` how many more than the target there may be. Without surge a batch
//! of old replicas stops first; with surge new ones start first, and old ones stop as
//! those serve.
//!
//! One promise goes beyond Ray Serve's: **a deployment that serves goes on serving.** Where
//! a batch would be all of it (one replica, or 100 %), one stays until another takes calls;
//! for that a single replica's successor starts first, although no surge was asked for.
//! Only where the old replicas hold what the new ones need (a machine's only GPU) do they
//! stop before: calls wait in the queue meanwhile, and none fails.
//!
//! A draining replica no longer counts: it serves no new calls. What it still holds is
//! `resources`' matter.

use super::stop_order::{self, Candidate};

/// What a deployment is to become.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Asked {
    /// How many replicas of the version asked for.
    pub(crate) target: usize,
    /// Above 0, up to 1.
    pub(crate) rolling_update_percentage: f64,
    /// From 0 to 100.
    pub(crate) max_surge_percent: f64,
    /// For how many more replicas of the version asked for there is room now.
    pub(crate) room: usize,
    /// How many replicas are draining, each of which will make room.
    pub(crate) draining: usize,
}

/// A replica that starts or runs. Draining ones are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replica<'a> {
    /// Of the version asked for?
    pub(crate) current: bool,
    pub(crate) candidate: Candidate<'a>,
}

/// What to do now. Nothing to do, and nothing on its way, is the end of a roll-out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// So many replicas of the version asked for start.
    pub(crate) start: usize,
    /// The keys of the replicas that stop.
    pub(crate) stop: Vec<u64>,
    /// So many replicas would start, but for lack of room. Ask again when there is some.
    pub(crate) pending: usize,
}

impl Asked {
    /// How many replicas may be away at a time.
    fn batch(&self) -> usize {
        whole((self.rolling_update_percentage * as_number(self.target)).floor()).max(1)
    }

    /// How many more replicas than the target there may be, where old ones can stay.
    fn surge(&self) -> usize {
        let surge = whole((self.max_surge_percent * as_number(self.target) / 100.0).ceil());
        // Where no replica may be away, one more must be there.
        if surge == 0 && self.target > 0 && self.fewest() == self.target { 1 } else { surge }
    }

    /// How many must go on serving while others are replaced, without surge.
    fn fewest(&self) -> usize {
        self.target.saturating_sub(self.batch()).max(self.target.min(1))
    }
}

/// Decides the next step of a roll-out.
pub(crate) fn next_step(asked: &Asked, replicas: &[Replica<'_>]) -> Step {
    let (current, old): (Vec<_>, Vec<_>) = replicas.iter().partition(|replica| replica.current);
    let serving = |of: &[&Replica<'_>]| of.iter().filter(|one| one.candidate.running).count();
    let (new_serving, old_serving) = (serving(&current), serving(&old));
    let old_starting = old.len() - old_serving;

    // More than the target of the right version: that is too many whatever else happens.
    let surplus = current.len().saturating_sub(asked.target);
    let mut stop = stop_order::first(surplus, current.iter().map(|one| one.candidate));
    let kept_serving =
        current.iter().filter(|one| one.candidate.running && !stop.contains(&one.candidate.key));
    let new_kept = kept_serving.count();

    let wanted = asked.target.saturating_sub(current.len());
    let surge = asked.surge();
    // Old replicas that never served stop at once. Of those that serve, all that nobody
    // has to wait for.
    let all_stay = surge > 0;
    let keep_serving = if all_stay { asked.target } else { asked.fewest() };
    let mut stopped = (new_kept + old_serving).saturating_sub(keep_serving).min(old_serving);
    let live = |stopped: usize| current.len() - surplus + old_serving - stopped;
    let allowed = |stopped: usize| wanted.min((asked.target + surge).saturating_sub(live(stopped)));
    let nothing_moves = current.len() == new_serving && stopped == 0 && asked.draining == 0;
    if all_stay && wanted > 0 && nothing_moves && asked.room == 0 {
        // Nothing can start beside the old ones, and none is about to go: a batch makes
        // room.
        let fewest = asked.target.saturating_sub(asked.batch());
        stopped = (new_kept + old_serving).saturating_sub(fewest).min(old_serving);
    }
    let order = stop_order::first(old_starting + stopped, old.iter().map(|one| one.candidate));
    stop.extend(order);

    let allowed = allowed(stopped);
    let start = allowed.min(asked.room);
    Step { start, stop, pending: allowed - start }
}

#[expect(clippy::cast_precision_loss, reason = "no deployment has 2^52 replicas")]
fn as_number(replicas: usize) -> f64 {
    replicas as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded, and a part of a number of replicas: small and not negative"
)]
fn whole(replicas: f64) -> usize {
    replicas as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked(target: usize, percentage: f64, surge: f64) -> Asked {
        Asked {
            target,
            rolling_update_percentage: percentage,
            max_surge_percent: surge,
            room: usize::MAX,
            draining: 0,
        }
    }

    fn replica(key: u64, current: bool, running: bool) -> Replica<'static> {
        Replica { current, candidate: Candidate { key, running, node: "local", started: key } }
    }

    fn old(count: u64) -> Vec<Replica<'static>> {
        (0..count).map(|key| replica(key, false, true)).collect()
    }

    #[test]
    fn batches_and_surges_are_as_large_as_in_ray_serve() {
        for (target, percentage, batch) in
            [(10, 0.2, 2), (9, 0.2, 1), (4, 0.2, 1), (10, 1.0, 10), (1, 0.2, 1), (0, 0.2, 1)]
        {
            assert_eq!(asked(target, percentage, 0.0).batch(), batch, "{target}");
        }
        for (target, percent, surge) in [
            (10, 0.0, 0),
            (10, 25.0, 3),
            (100, 7.0, 7),
            (10, 100.0, 10),
            (1, 1.0, 1),
            (1, 0.0, 1),
            (0, 50.0, 0),
        ] {
            assert_eq!(asked(target, 0.2, percent).surge(), surge, "{target} {percent}");
        }
    }

    #[test]
    fn a_first_deploy_starts_all_at_once() {
        let step = next_step(&asked(5, 0.2, 0.0), &[]);
        assert_eq!(step, Step { start: 5, ..Step::default() });
    }

    #[test]
    fn without_surge_a_batch_stops_and_as_many_start() {
        let step = next_step(&asked(10, 0.2, 0.0), &old(10));
        assert_eq!(step, Step { start: 2, stop: vec![9, 8], pending: 0 });
        // While those start, nothing more stops.
        let mut replicas = old(8);
        replicas.extend([replica(10, true, false), replica(11, true, false)]);
        assert_eq!(next_step(&asked(10, 0.2, 0.0), &replicas), Step::default());
        // One of them serves: one more may go.
        replicas[8] = replica(10, true, true);
        let step = next_step(&asked(10, 0.2, 0.0), &replicas);
        assert_eq!(step, Step { start: 1, stop: vec![7], pending: 0 });
    }

    #[test]
    fn with_surge_new_ones_serve_before_old_ones_stop() {
        let asked = asked(4, 0.2, 50.0);
        assert_eq!(next_step(&asked, &old(4)), Step { start: 2, ..Step::default() });
        let mut replicas = old(4);
        replicas.extend([replica(10, true, true), replica(11, true, false)]);
        assert_eq!(next_step(&asked, &replicas), Step { start: 1, stop: vec![3], pending: 0 });
    }

    #[test]
    fn a_single_replica_is_replaced_only_once_its_successor_serves() {
        let asked = asked(1, 0.2, 0.0);
        assert_eq!(next_step(&asked, &old(1)), Step { start: 1, ..Step::default() });
        let mut replicas = old(1);
        replicas.push(replica(7, true, false));
        assert_eq!(next_step(&asked, &replicas), Step::default());
        replicas[1] = replica(7, true, true);
        assert_eq!(next_step(&asked, &replicas), Step { stop: vec![0], ..Step::default() });
    }

    #[test]
    fn where_both_do_not_fit_the_old_one_makes_room() {
        let full = Asked { room: 0, ..asked(1, 0.2, 0.0) };
        assert_eq!(next_step(&full, &old(1)), Step { start: 0, stop: vec![0], pending: 1 });
        // Not while that is about to happen anyway, or a successor is on its way.
        let draining = Asked { draining: 1, ..full };
        assert_eq!(next_step(&draining, &old(1)), Step { pending: 1, ..Step::default() });
        let mut replicas = old(1);
        replicas.push(replica(7, true, false));
        assert_eq!(next_step(&full, &replicas), Step::default());
    }

    #[test]
    fn one_of_several_serves_on_even_if_all_may_be_away() {
        let step = next_step(&asked(3, 1.0, 0.0), &old(3));
        assert_eq!(step, Step { start: 2, stop: vec![2, 1], pending: 0 });
    }

    #[test]
    fn a_new_number_of_replicas_starts_and_stops_only_the_difference() {
        let current: Vec<_> = (0..4).map(|key| replica(key, true, key < 3)).collect();
        let step = next_step(&asked(6, 0.2, 0.0), &current);
        assert_eq!(step, Step { start: 2, ..Step::default() });
        let step = next_step(&asked(2, 0.2, 0.0), &current);
        assert_eq!(step, Step { stop: vec![3, 2], ..Step::default() });
        let step = next_step(&asked(0, 0.2, 0.0), &current);
        assert_eq!(step, Step { stop: vec![3, 2, 1, 0], ..Step::default() });
    }

    #[test]
    fn old_replicas_that_never_served_stop_at_once() {
        let mut replicas = old(2);
        replicas.push(replica(5, false, false));
        let step = next_step(&asked(2, 0.2, 100.0), &replicas);
        assert_eq!(step, Step { start: 2, stop: vec![5], pending: 0 });
    }

    /// A deployment that is brought to `asked`, with everything that takes time taking it
    /// in an order that `choices` picks. Checks what must hold after each step.
    fn roll(asked: &Asked, mut replicas: Vec<Replica<'static>>, choices: &[usize], room: usize) {
        let before =
            |replicas: &[Replica<'_>]| replicas.iter().filter(|one| one.candidate.running).count();
        let mut next_key = 1_000;
        // Replicas that there may be at a time, where resources limit them.
        let most = room.max(replicas.len());
        // Draining ones that still hold their place.
        let mut draining = 0;
        let mut choices = choices.iter().cycle();
        for _ in 0..10_000 {
            let room = most - (replicas.len() + draining).min(most);
            let asked = Asked { room, draining, ..*asked };
            let serving = before(&replicas);
            let live = replicas.len();
            let step = next_step(&asked, &replicas);
            assert!(step.start <= room);
            let stopped = |one: &Replica<'_>| step.stop.contains(&one.candidate.key);
            assert_eq!(replicas.iter().filter(|one| stopped(one)).count(), step.stop.len());
            replicas.retain(|one| !stopped(one));
            draining += step.stop.len();
            for _ in 0..step.start {
                replicas.push(replica(next_key, true, false));
                next_key += 1;
            }
            let after = before(&replicas);
            // With surge all of the target serves on; without, all but a batch, and one at
            // least. Where there is no room for both, all but a batch.
            let least = match (step.pending, asked.surge()) {
                (1.., _) => asked.target.saturating_sub(asked.batch()),
                (0, 1..) => asked.target,
                (0, 0) => asked.target.saturating_sub(asked.batch()).max(asked.target.min(1)),
            };
            assert!(after >= least.min(serving), "{after} of {serving} serve: {step:?}");
            // Never more than the target and the surge, but for what there was.
            assert!(replicas.len() <= (asked.target + asked.surge()).max(live), "{step:?}");
            let done = replicas.len() == asked.target
                && replicas.iter().all(|one| one.current && one.candidate.running);
            if done {
                assert_eq!(next_step(&asked, &replicas), Step::default());
                return;
            }
            // Something that takes time ends.
            let starting: Vec<_> =
                (0..replicas.len()).filter(|at| !replicas[*at].candidate.running).collect();
            let choice = *choices.next().unwrap();
            if draining > 0 && (starting.is_empty() || choice.is_multiple_of(3)) {
                draining -= 1;
            } else if let Some(at) = starting.get(choice % starting.len().max(1)) {
                replicas[*at].candidate.running = true;
            }
        }
        panic!("it never ends: {asked:?} {replicas:?}");
    }

    proptest! {
        #[test]
        fn a_roll_out_ends_and_keeps_serving(
            target in 0_usize..12,
            percentage in 0.01_f64..=1.0,
            surge in prop_oneof![Just(0.0), 0.0_f64..=100.0],
            present in prop::collection::vec((any::<bool>(), any::<bool>()), 0..15),
            choices in prop::collection::vec(0_usize..100, 1..40),
            spare in prop_oneof![Just(usize::MAX), 0_usize..4],
        ) {
            let replicas: Vec<_> = present
                .iter()
                .zip(0..)
                .map(|((current, running), key)| replica(key, *current, *running))
                .collect();
            let room = target.max(replicas.len()).saturating_add(spare);
            roll(&asked(target, percentage, surge), replicas, &choices, room);
        }
    }
}
