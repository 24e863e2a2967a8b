//! [`LoadWindow`]: the load of a deployment over a look-back period, to the nanosecond.
//!
//! The load is a step function of time: the number of calls that run or wait, which changes with
//! each call that comes or goes. Ray Serve samples the load; here every change is recorded, on the
//! call path.
//!
//! **Exact** means: the mean is the true integral, in whole nanoseconds, over exactly the look-back
//! period, and the extremes are the true ones. This holds while there are at most [`EXACT_CHANGES`]
//! changes in the period. Beyond that, neighbouring steps are joined into segments of at most 1/512
//! of the period, each with its own true integral and extremes, so that memory stays bounded under
//! any load. Then everything is still exact except for the one segment that the start of the period
//! cuts: an even share of that segment counts.

use std::collections::VecDeque;
use std::time::Duration;

use crate::deployment::Aggregation;

/// The number of changes in a look-back period up to which no steps are joined: 48 KiB of them.
const EXACT_CHANGES: usize = 1024;
/// The longest joined segment is one part in this many of the look-back period.
const GRAIN: u64 = 512;

/// A step function of time, remembered for a look-back period.
///
/// Times are durations since an origin that the caller picks. Recording a change takes amortised
/// constant time, and allocates nothing once the window has filled.
#[derive(Clone, Debug)]
pub(crate) struct LoadWindow {
    look_back: u64,
    /// The steps that are over, oldest first, without gaps.
    segments: VecDeque<Segment>,
    /// The last change, which holds until now.
    current: Option<Step>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    since: u64,
    value: u32,
}

/// A stretch of time that is over, in nanoseconds since the origin. Never empty.
#[derive(Clone, Copy, Debug)]
struct Segment {
    start: u64,
    end: u64,
    /// The integral of the value over time, in nanoseconds.
    integral: u128,
    min: u32,
    max: u32,
}

impl Segment {
    fn len(&self) -> u64 {
        self.end - self.start
    }

    /// The integral of the part from `start` on. Exact if the value was constant.
    fn integral_from(&self, start: u64) -> u128 {
        if start <= self.start {
            return self.integral;
        }
        self.integral * u128::from(self.end - start) / u128::from(self.len())
    }

    fn join(&mut self, next: Self) {
        self.end = next.end;
        self.integral += next.integral;
        self.min = self.min.min(next.min);
        self.max = self.max.max(next.max);
    }
}

impl LoadWindow {
    /// Creates a window over `look_back`, without any change.
    pub(crate) fn new(look_back: Duration) -> Self {
        Self { look_back: nanoseconds(look_back), segments: VecDeque::new(), current: None }
    }

    /// Sets another look-back period. A longer period fills up from now on.
    pub(crate) fn set_look_back(&mut self, look_back: Duration) {
        self.look_back = nanoseconds(look_back);
    }

    /// Records that the load is `load` from `now` on. A clock that steps back counts as standing
    /// still.
    pub(crate) fn record(&mut self, now: Duration, load: usize) {
        let value = u32::try_from(load).unwrap_or(u32::MAX);
        let now = nanoseconds(now);
        let Some(current) = self.current else {
            self.current = Some(Step { since: now, value });
            return;
        };
        if value == current.value {
            return;
        }
        let now = now.max(current.since);
        if let Some(over) = current.until(now) {
            self.push(over);
        }
        self.current = Some(Step { since: now, value });
    }

    fn push(&mut self, over: Segment) {
        let start = over.end.saturating_sub(self.look_back);
        while self.segments.front().is_some_and(|oldest| oldest.end <= start) {
            self.segments.pop_front();
        }
        if self.segments.len() >= EXACT_CHANGES
            && let Some(last) = self.segments.back_mut()
            && over.end - last.start <= self.look_back / GRAIN
        {
            last.join(over);
        } else {
            self.segments.push_back(over);
        }
    }

    /// True if the load was constant throughout the look-back period. Then the aggregate stays the
    /// same for as long as the load does.
    pub(crate) fn is_steady(&self, now: Duration) -> bool {
        let start = nanoseconds(now).saturating_sub(self.look_back);
        self.segments.back().is_none_or(|last| last.end <= start)
    }

    /// The load over the look-back period before `now`, or over the part of the period since the
    /// first change. A load that lasted for no time does not count. 0 if nothing was ever recorded.
    pub(crate) fn aggregate(&self, now: Duration, aggregation: Aggregation) -> f64 {
        let Some(current) = self.current else { return 0.0 };
        let now = nanoseconds(now).max(current.since);
        let start = now.saturating_sub(self.look_back);
        let current_start = Step { since: current.since.max(start), ..current };
        let parts = self.segments.iter().copied().filter(|segment| segment.end > start);
        let parts = parts.chain(current_start.until(now));
        let aggregate = match aggregation {
            Aggregation::Min => parts.map(|part| part.min).min().map(f64::from),
            Aggregation::Max => parts.map(|part| part.max).max().map(f64::from),
            Aggregation::Mean => {
                let sums = parts.fold((0, 0), |(integral, length), part| {
                    let length = length + (part.end - part.start.max(start));
                    (integral + part.integral_from(start), length)
                });
                mean(sums)
            }
        };
        aggregate.unwrap_or_else(|| f64::from(current.value))
    }
}

impl Step {
    /// Returns this step as a segment that ends at `end`, or `None` if the step lasted for no time.
    fn until(self, end: u64) -> Option<Segment> {
        (end > self.since).then(|| Segment {
            start: self.since,
            end,
            integral: u128::from(self.value) * u128::from(end - self.since),
            min: self.value,
            max: self.value,
        })
    }
}

fn mean((integral, length): (u128, u64)) -> Option<f64> {
    if length == 0 {
        return None;
    }
    let (whole, rest) = (integral / u128::from(length), integral % u128::from(length));
    #[expect(clippy::cast_precision_loss, reason = "to 53 bits, of a mean below 2^32")]
    let mean = whole as f64 + rest as f64 / length as f64;
    Some(mean)
}

/// Converts to nanoseconds, and saturates after 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn window(look_back: f64, changes: &[(f64, usize)]) -> LoadWindow {
        let mut window = LoadWindow::new(seconds(look_back));
        for (at, load) in changes {
            window.record(seconds(*at), *load);
        }
        window
    }

    #[test]
    fn the_mean_is_weighted_by_time_and_the_window_starts_exactly_a_period_ago() {
        let window = window(10.0, &[(0.0, 4), (8.0, 10), (12.0, 0)]);
        let at = |now, how| window.aggregate(seconds(now), how);
        assert_eq!(at(12.0, Aggregation::Mean), (6.0 * 4.0 + 4.0 * 10.0) / 10.0);
        assert_eq!(at(17.0, Aggregation::Mean), (1.0 * 4.0 + 4.0 * 10.0) / 10.0);
        assert_eq!(at(17.0, Aggregation::Min), 0.0);
        assert_eq!(at(17.0, Aggregation::Max), 10.0);
        assert_eq!(at(22.0, Aggregation::Max), 0.0);
        assert_eq!(at(9_000.0, Aggregation::Mean), 0.0);
    }

    #[test]
    fn before_a_period_has_passed_it_starts_with_the_first_change() {
        let window = window(30.0, &[(100.0, 6)]);
        for how in [Aggregation::Mean, Aggregation::Min, Aggregation::Max] {
            assert_eq!(window.aggregate(seconds(100.0), how), 6.0);
            assert_eq!(window.aggregate(seconds(101.0), how), 6.0);
            assert_eq!(LoadWindow::new(seconds(30.0)).aggregate(seconds(9.0), how), 0.0);
        }
    }

    #[test]
    fn what_lasted_for_no_time_does_not_count() {
        let window = window(10.0, &[(0.0, 1), (5.0, 900), (5.0, 2)]);
        assert_eq!(window.aggregate(seconds(5.0), Aggregation::Max), 1.0);
        assert_eq!(window.aggregate(seconds(6.0), Aggregation::Max), 2.0);
    }

    #[test]
    fn a_clock_that_steps_back_stands_still() {
        let window = window(10.0, &[(5.0, 1), (4.0, 3), (6.0, 0)]);
        assert_eq!(window.aggregate(seconds(6.0), Aggregation::Mean), 3.0);
        assert_eq!(window.aggregate(seconds(2.0), Aggregation::Mean), 3.0);
    }

    #[test]
    fn it_is_steady_once_the_last_change_is_a_period_ago() {
        let changed = window(10.0, &[(0.0, 4), (8.0, 2)]);
        // By chance the mean equals the load, but the mean goes on to change.
        let chance = window(10.0, &[(0.0, 4), (4.0, 0), (8.0, 2)]);
        assert_eq!(chance.aggregate(seconds(10.0), Aggregation::Mean), 2.0);
        for window in [changed, chance] {
            assert!(!window.is_steady(seconds(10.0)) && !window.is_steady(seconds(17.9)));
            assert!(window.is_steady(seconds(18.0)));
        }
        assert!(window(10.0, &[(3.0, 4)]).is_steady(seconds(3.0)));
        assert!(window(10.0, &[]).is_steady(seconds(3.0)));
    }

    #[test]
    fn another_look_back_period_holds_at_once() {
        let mut window = window(10.0, &[(0.0, 4), (8.0, 10)]);
        window.set_look_back(seconds(2.0));
        assert_eq!(window.aggregate(seconds(10.0), Aggregation::Mean), 10.0);
    }

    /// Ray Serve's replicas each push a series, and its controller merges them. A router sees every
    /// change itself: one window of all changes is the merged series.
    #[test]
    fn every_sum_of_series_of_ray_serve_and_its_mean_is_ours() {
        let text = include_str!("../../tests/vectors/metrics_merge.json");
        let rows: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
        assert_eq!(rows.len(), 30);
        for row in rows {
            // The load of each series: a change of one series changes the sum.
            let mut steps = Vec::new();
            for (series, changes) in row["series"].as_array().unwrap().iter().enumerate() {
                for step in changes.as_array().unwrap() {
                    steps.push((step[0].as_f64().unwrap(), series, step[1].as_u64().unwrap()));
                }
            }
            steps.sort_by(|a, b| a.0.total_cmp(&b.0));
            let merged = row["merged"].as_array().unwrap();
            let moment = |step: &serde_json::Value| step[0].as_f64().unwrap();
            let from = moment(&merged[0]);
            let to = moment(merged.last().unwrap()) + row["last_window_s"].as_f64().unwrap();
            let mut window = LoadWindow::new(seconds(to) - seconds(from));
            let mut loads = std::collections::HashMap::new();
            for (at, series, load) in steps {
                loads.insert(series, load);
                let total = usize::try_from(loads.values().sum::<u64>()).unwrap();
                window.record(seconds(at), total);
            }
            let mut steps: Vec<(u64, u32)> =
                window.segments.iter().map(|step| (step.start, step.max)).collect();
            steps.extend(window.current.map(|step| (step.since, step.value)));
            let step = |step: &serde_json::Value| {
                let value = step[1].as_f64().unwrap();
                (nanoseconds(seconds(moment(step))), value)
            };
            let mut expected: Vec<(u64, f64)> = merged.iter().map(step).collect();
            let steps = steps.iter().map(|(at, load)| (*at, f64::from(*load)));
            // Ray Serve's sum begins at the first value above 0.
            let mut steps: Vec<_> = steps.skip_while(|(_, load)| *load == 0.0).collect();
            // A repeated value is no change.
            steps.dedup_by_key(|(_, load)| *load);
            expected.dedup_by_key(|(_, load)| *load);
            assert_eq!(steps, expected, "{row}");
            let expected = row["time_weighted_average"].as_f64().unwrap();
            let mean = window.aggregate(seconds(to), Aggregation::Mean);
            assert!((mean - expected).abs() < 1e-6, "{mean} for {expected}: {row}");
        }
    }

    /// The aggregates by their definition: every step is kept, and no steps are joined.
    fn by_definition(changes: &[(u64, usize)], now: u64, look_back: u64) -> (f64, u64, u64) {
        let start = now.saturating_sub(look_back).max(changes[0].0);
        let ends = changes.iter().skip(1).map(|change| change.0).chain([now]);
        let (mut integral, mut min, mut max) = (0, u64::MAX, 0);
        for ((from, load), end) in changes.iter().zip(ends) {
            let length = end.saturating_sub(start.max(*from));
            if length > 0 {
                integral += length * *load as u64;
                (min, max) = (min.min(*load as u64), max.max(*load as u64));
            }
        }
        (integral as f64 / (now - start) as f64, min, max)
    }

    fn recorded(changes: &[(u64, usize)], look_back: u64) -> LoadWindow {
        let mut window = LoadWindow::new(Duration::from_nanos(look_back));
        for (at, load) in changes {
            window.record(Duration::from_nanos(*at), *load);
        }
        window
    }

    fn changes(gaps: &[(u64, usize)]) -> Vec<(u64, usize)> {
        let mut at = 1_000;
        gaps.iter()
            .map(|(gap, load)| {
                at += gap;
                (at, *load)
            })
            .collect()
    }

    proptest! {
        #[test]
        fn up_to_a_thousand_changes_it_is_what_the_definition_says(
            gaps in prop::collection::vec((0_u64..50, 0_usize..9), 1..900),
            look_back in 1_u64..5_000,
            after in 1_u64..4_000,
        ) {
            let changes = changes(&gaps);
            let now = changes.last().unwrap().0 + after;
            let window = recorded(&changes, look_back);
            let (mean, min, max) = by_definition(&changes, now, look_back);
            let at = Duration::from_nanos(now);
            prop_assert!((window.aggregate(at, Aggregation::Mean) - mean).abs() < 1e-9);
            prop_assert_eq!(window.aggregate(at, Aggregation::Min), min as f64);
            prop_assert_eq!(window.aggregate(at, Aggregation::Max), max as f64);
        }
    }

    #[test]
    fn under_any_load_memory_is_bounded_and_the_mean_all_but_exact() {
        let look_back = 1_000_000_000;
        // A change each 20 us: 50 000 in the period.
        let gaps: Vec<(u64, usize)> = (0..200_000).map(|i| (20_000, i * 7919 % 100)).collect();
        let changes = changes(&gaps);
        let now = changes.last().unwrap().0 + 10;
        let window = recorded(&changes, look_back);
        // No two neighbours would fit into one grain if joined.
        assert!(window.segments.len() <= EXACT_CHANGES + 2 * usize::try_from(GRAIN).unwrap() + 1);
        let (mean, min, max) = by_definition(&changes, now, look_back);
        let at = Duration::from_nanos(now);
        let error = (window.aggregate(at, Aggregation::Mean) - mean).abs();
        assert!(error <= (max - min) as f64 / GRAIN as f64, "{error}");
        assert_eq!(window.aggregate(at, Aggregation::Max), max as f64);
        assert_eq!(window.aggregate(at, Aggregation::Min), min as f64);
    }
}
