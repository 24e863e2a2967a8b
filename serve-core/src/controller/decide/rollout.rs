//! [`rollout`]: the next replicas to start and to stop, so that replicas of the requested version
//! replace all others and the target number is met.

/// The input of a rollout decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RolloutInput<'a> {
    /// The replicas that are not stopping.
    pub(crate) replicas: &'a [ReplicaView],
    /// The number of replicas to have.
    pub(crate) target: usize,
    /// The share of the replicas that is replaced at a time.
    pub(crate) rolling_update_percentage: f64,
    /// The number of replicas by which a rollout may exceed the target, in percent of the target.
    pub(crate) max_surge_percent: f64,
    /// False during the pause after failed starts.
    pub(crate) may_start: bool,
    /// True once it is certain that the requested version does not start.
    pub(crate) given_up: bool,
    /// True if a new replica waits for room that an old replica occupies.
    pub(crate) no_room: bool,
}

/// The properties of one replica that a rollout depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReplicaView {
    /// The number of the replica. Replicas that were created later have greater numbers.
    pub(crate) number: u64,
    /// True if the replica has the requested version and is not to be replaced.
    pub(crate) current: bool,
    /// True if the replica has the requested version, but is to be replaced.
    pub(crate) worn: bool,
    /// True if the replica takes calls.
    pub(crate) running: bool,
}

/// The replicas to start and to stop now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReplicaChanges {
    /// The number of replicas to start.
    pub(crate) start: usize,
    /// The numbers of the replicas to stop.
    pub(crate) stop: Vec<u64>,
}

/// Decides which replicas start and stop now.
///
/// As in Ray Serve, a share of the old replicas stops and as many new ones start, unless a surge is
/// allowed: then the new replicas start first. Unlike in Ray Serve, the last replica that serves
/// does not stop before another one serves, so that a deployment with one replica temporarily has
/// two, unless the old replica occupies the only room; and a version that does not start stops no
/// further old replicas. A replica that is to be replaced serves until its successor does.
pub(crate) fn rollout(input: &RolloutInput<'_>) -> ReplicaChanges {
    if input.given_up {
        return ReplicaChanges::default();
    }
    let current = input.replicas.iter().filter(|replica| replica.current).count();
    let mut stop = surplus(input, current);
    let current = current.min(input.target);
    let (old_running, old_starting): (Vec<&ReplicaView>, _) =
        input.replicas.iter().filter(|replica| !replica.current).partition(|old| old.running);
    stop.extend(old_starting.iter().map(|old| old.number));
    if old_running.is_empty() {
        let start = if input.may_start { input.target - current } else { 0 };
        return ReplicaChanges { start, stop };
    }
    let surge = surge(input);
    let at_least = match surge {
        // New replicas start first, so that the target number serves all the time.
        Some(_) => input.target,
        None if input.no_room => input.target.saturating_sub(batch(input)),
        // With a target of zero, no replica has to serve until another one does.
        None => input.target.saturating_sub(batch(input)).max(1).min(input.target),
    };
    let serving = old_running.len() + running(input, true).min(input.target);
    let mut old: Vec<u64> = old_running.iter().map(|old| old.number).collect();
    old.sort_unstable();
    let stopping = old.len().min(serving.saturating_sub(at_least));
    // While starts fail, serving replicas are left alone, except for surplus ones.
    let stopping =
        if input.may_start { stopping } else { stopping.min(serving.saturating_sub(input.target)) };
    stop.extend(old.drain(..stopping));
    let room = (input.target + surge.unwrap_or(0)).saturating_sub(current + old.len());
    let start = if input.may_start { room.min(input.target - current) } else { 0 };
    ReplicaChanges { start, stop }
}

/// Returns the surplus replicas of the requested version: first those that do not serve yet, then
/// the newest.
fn surplus(input: &RolloutInput<'_>, current: usize) -> Vec<u64> {
    let mut all: Vec<&ReplicaView> =
        input.replicas.iter().filter(|replica| replica.current).collect();
    all.sort_by_key(|replica| (replica.running, std::cmp::Reverse(replica.number)));
    all.iter().take(current.saturating_sub(input.target)).map(|replica| replica.number).collect()
}

fn running(input: &RolloutInput<'_>, current: bool) -> usize {
    input.replicas.iter().filter(|replica| replica.current == current && replica.running).count()
}

/// Returns the number of replicas that are replaced at a time, which is at least one.
fn batch(input: &RolloutInput<'_>) -> usize {
    part(input.target, input.rolling_update_percentage, f64::floor).max(1)
}

/// Returns the number of replicas by which a rollout may exceed the target, or `None` if old
/// replicas stop first.
fn surge(input: &RolloutInput<'_>) -> Option<usize> {
    if input.no_room {
        return None;
    }
    match part(input.target, input.max_surge_percent / 100.0, f64::ceil) {
        // A single replica cannot stop first and still serve.
        0 if input.target == 1 => Some(1),
        // A replica that is to be replaced serves until another one does.
        0 if input.replicas.iter().all(|replica| replica.current || replica.worn) => Some(1),
        0 => None,
        allowed => Some(allowed),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a part, from 0 to 1, of a number of replicas"
)]
fn part(of: usize, share: f64, round: fn(f64) -> f64) -> usize {
    round(of as f64 * share) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn input(replicas: &[ReplicaView], target: usize) -> RolloutInput<'_> {
        RolloutInput {
            replicas,
            target,
            rolling_update_percentage: 0.2,
            max_surge_percent: 0.0,
            may_start: true,
            given_up: false,
            no_room: false,
        }
    }

    fn old(number: u64) -> ReplicaView {
        ReplicaView { number, current: false, worn: false, running: true }
    }

    fn new(number: u64, running: bool) -> ReplicaView {
        ReplicaView { number, current: true, worn: false, running }
    }

    #[test]
    fn a_steady_deployment_is_left_alone() {
        let replicas = [new(0, true), new(1, true)];
        assert_eq!(rollout(&input(&replicas, 2)), ReplicaChanges::default());
    }

    #[test]
    fn the_wanted_number_is_met() {
        assert_eq!(rollout(&input(&[], 3)), ReplicaChanges { start: 3, stop: vec![] });
        let replicas = [new(0, true), new(1, true), new(2, false)];
        let fewer = rollout(&input(&replicas, 1));
        assert_eq!(
            fewer,
            ReplicaChanges { start: 0, stop: vec![2, 1] },
            "who does not serve yet first"
        );
    }

    #[test]
    fn a_part_is_replaced_at_a_time() {
        let replicas: Vec<_> = (0..10).map(old).collect();
        assert_eq!(rollout(&input(&replicas, 10)), ReplicaChanges { start: 2, stop: vec![0, 1] });
        let meanwhile: Vec<_> = (2..10).map(old).chain([new(10, false), new(11, true)]).collect();
        assert_eq!(rollout(&input(&meanwhile, 10)), ReplicaChanges { start: 1, stop: vec![2] });
    }

    #[test]
    fn all_at_a_time_leaves_one_that_serves_and_starts_no_more_than_wanted() {
        let replicas: Vec<_> = (0..4).map(old).collect();
        let all = RolloutInput { rolling_update_percentage: 1.0, ..input(&replicas, 4) };
        assert_eq!(rollout(&all), ReplicaChanges { start: 3, stop: vec![0, 1, 2] });
    }

    #[test]
    fn with_a_surge_new_ones_start_first() {
        let replicas: Vec<_> = (0..4).map(old).collect();
        let surging = RolloutInput { max_surge_percent: 25.0, ..input(&replicas, 4) };
        assert_eq!(rollout(&surging), ReplicaChanges { start: 1, stop: vec![] });
    }

    #[test]
    fn the_only_replica_serves_until_another_does() {
        let replicas = [old(0)];
        assert_eq!(rollout(&input(&replicas, 1)), ReplicaChanges { start: 1, stop: vec![] });
        let replicas = [old(0), new(1, false)];
        assert_eq!(rollout(&input(&replicas, 1)), ReplicaChanges::default());
        let replicas = [old(0), new(1, true)];
        assert_eq!(rollout(&input(&replicas, 1)), ReplicaChanges { start: 0, stop: vec![0] });
    }

    #[test]
    fn the_only_replica_makes_room_where_there_is_no_other() {
        let replicas = [old(0), new(1, false)];
        let full = RolloutInput { no_room: true, ..input(&replicas, 1) };
        assert_eq!(rollout(&full), ReplicaChanges { start: 0, stop: vec![0] });
    }

    fn worn(number: u64) -> ReplicaView {
        ReplicaView { worn: true, ..old(number) }
    }

    #[test]
    fn what_is_to_be_replaced_serves_until_its_successor_does() {
        for target in 1..4 {
            let mut replicas: Vec<_> = (0..target as u64).map(worn).collect();
            for number in 0..target as u64 {
                let next = target as u64 + number;
                let first = rollout(&input(&replicas, target));
                assert_eq!(first, ReplicaChanges { start: 1, stop: vec![] }, "of {target}");
                replicas.push(new(next, false));
                assert_eq!(rollout(&input(&replicas, target)), ReplicaChanges::default());
                replicas.last_mut().unwrap().running = true;
                assert_eq!(rollout(&input(&replicas, target)).stop, [number]);
                replicas.retain(|replica| replica.number != number);
            }
            assert_eq!(rollout(&input(&replicas, target)), ReplicaChanges::default());
        }
    }

    #[test]
    fn what_is_to_be_replaced_makes_room_where_there_is_no_other_and_stays_while_starts_fail() {
        let replicas = [worn(0), new(1, false)];
        let full = RolloutInput { no_room: true, ..input(&replicas, 1) };
        assert_eq!(rollout(&full), ReplicaChanges { start: 0, stop: vec![0] });
        let failing = RolloutInput { may_start: false, ..input(&replicas[..1], 1) };
        assert_eq!(rollout(&failing), ReplicaChanges::default());
    }

    #[test]
    fn what_is_scaled_to_zero_needs_no_successor() {
        let replicas = [old(0), old(1), new(2, false)];
        assert_eq!(rollout(&input(&replicas, 0)), ReplicaChanges { start: 0, stop: vec![2, 0, 1] });
    }

    #[test]
    fn a_version_that_does_not_start_stops_no_more_old_ones() {
        let replicas: Vec<_> = (0..10).map(old).collect();
        let failing = RolloutInput { may_start: false, ..input(&replicas, 10) };
        assert_eq!(rollout(&failing), ReplicaChanges::default());
        let failed = RolloutInput { given_up: true, ..input(&replicas, 10) };
        assert_eq!(rollout(&failed), ReplicaChanges::default());
    }

    proptest! {
        /// From any state, with starts that succeed in any order, every replica is replaced;
        /// meanwhile, enough replicas serve and there are never too many.
        #[test]
        fn an_update_ends_and_serves_meanwhile(
            before in 0_usize..12,
            worn_from in 0_usize..12,
            target in 0_usize..12,
            batch_share in 0.05_f64..1.0,
            surge in 0.0_f64..100.0,
            choices in prop::collection::vec(any::<prop::sample::Index>(), 200),
        ) {
            let mut replicas: Vec<ReplicaView> = (0..before as u64).map(old).collect();
            for replica in replicas.iter_mut().skip(worn_from) {
                replica.worn = true;
            }
            let mut next = before as u64;
            let floor = {
                let all = RolloutInput {
                    rolling_update_percentage: batch_share, max_surge_percent: surge,
                    ..input(&replicas, target)
                };
                before.min(target.saturating_sub(batch(&all)).max(1).min(target))
            };
            let ceiling = {
                let all = RolloutInput {
                    rolling_update_percentage: batch_share, max_surge_percent: surge,
                    ..input(&replicas, target)
                };
                // With replicas that are to be replaced, one more at least.
                before.max(target + super::surge(&all).unwrap_or(0).max(1))
            };
            for choice in choices {
                let decided = rollout(&RolloutInput {
                    rolling_update_percentage: batch_share, max_surge_percent: surge,
                    ..input(&replicas, target)
                });
                replicas.retain(|replica| !decided.stop.contains(&replica.number));
                for _ in 0..decided.start {
                    replicas.push(new(next, false));
                    next += 1;
                }
                let serving = replicas.iter().filter(|replica| replica.running).count();
                prop_assert!(serving >= floor, "{serving} serve, of at least {floor}");
                prop_assert!(replicas.len() <= ceiling, "{} of at most {ceiling}", replicas.len());
                let starting: Vec<usize> =
                    (0..replicas.len()).filter(|at| !replicas[*at].running).collect();
                if starting.is_empty() {
                    break;
                }
                replicas[starting[choice.index(starting.len())]].running = true;
            }
            prop_assert!(replicas.iter().all(|replica| replica.current && replica.running));
            prop_assert_eq!(replicas.len(), target);
        }
    }
}
