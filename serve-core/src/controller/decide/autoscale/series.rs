//! Loads of one deployment that several processes report, as step functions of time:
//! their sum, and its mean over time.

use std::time::Duration;

/// From this moment on, this value. Moments rise.
pub(crate) type Step = (Duration, f64);

/// The sum of step functions, each of which is 0 before its first step. A step of the
/// sum is where any of them changes.
pub(crate) fn sum(series: &[Vec<Step>]) -> Vec<Step> {
    let mut changes: Vec<Step> = series.iter().flat_map(|steps| changes(steps)).collect();
    changes.sort_by_key(|(at, _)| *at);
    let mut total = 0.0;
    let mut sum: Vec<Step> = Vec::with_capacity(changes.len());
    for (at, change) in changes {
        total += change;
        match sum.last_mut() {
            Some(last) if last.0 == at => last.1 = total,
            _ => sum.push((at, total)),
        }
    }
    sum
}

fn changes(steps: &[Step]) -> impl Iterator<Item = Step> {
    let before = std::iter::once(0.0).chain(steps.iter().map(|(_, value)| *value));
    let change = |((at, value), before): (&Step, f64)| (*at, value - before);
    steps.iter().zip(before).map(change).filter(|(_, change)| *change != 0.0)
}

/// From when on all of `series` are known: before, their sum says too little. None if one
/// of them is empty.
pub(crate) fn known_from(series: &[Vec<Step>]) -> Option<Duration> {
    let starts = series.iter().map(|steps| steps.first().map(|(at, _)| *at));
    starts.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// The mean of a step function over time; the last value holds on. None if it has no step
/// before `to`, or `to` is not after `from`. What it says nothing of does not count.
pub(crate) fn mean(steps: &[Step], from: Duration, to: Duration) -> Option<f64> {
    let ends = steps.iter().skip(1).map(|(at, _)| *at).chain([to]);
    let mut integral = 0.0;
    let mut length = 0.0;
    for ((start, value), end) in steps.iter().zip(ends) {
        let part = end.min(to).saturating_sub((*start).max(from)).as_secs_f64();
        integral += part * value;
        length += part;
    }
    (length > 0.0).then(|| integral / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn steps(value: &serde_json::Value) -> Vec<Step> {
        let step = |step: &serde_json::Value| {
            (seconds(step[0].as_f64().unwrap()), step[1].as_f64().unwrap())
        };
        value.as_array().unwrap().iter().map(step).collect()
    }

    /// What a step function says, without the steps that change nothing.
    fn function(steps: &[Step]) -> Vec<Step> {
        let mut last = 0.0;
        let mut changed = |value: f64| std::mem::replace(&mut last, value) != value;
        steps.iter().copied().filter(|(_, value)| changed(*value)).collect()
    }

    #[test]
    fn every_sum_and_mean_of_ray_serve_is_ours() {
        let text = include_str!("../../../../tests/vectors/metrics_merge.json");
        let rows: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
        assert_eq!(rows.len(), 30);
        for row in rows {
            let series: Vec<_> = row["series"].as_array().unwrap().iter().map(steps).collect();
            let (ours, theirs) = (sum(&series), steps(&row["merged"]));
            assert_eq!(function(&ours), function(&theirs), "{row}");
            let from = theirs[0].0;
            let to = theirs.last().unwrap().0 + seconds(row["last_window_s"].as_f64().unwrap());
            let expected = row["time_weighted_average"].as_f64().unwrap();
            let error = (mean(&ours, from, to).unwrap() - expected).abs();
            assert!(error < 1e-9, "{error}: {row}");
        }
    }

    #[test]
    fn the_mean_counts_from_when_every_series_is_known() {
        // Ray Serve's own example, in the docs of its function.
        let of = |steps: &[(f64, f64)]| steps.iter().map(|(at, v)| (seconds(*at), *v)).collect();
        let series: Vec<Vec<Step>> = vec![
            of(&[(0.2, 5.0), (0.8, 7.0), (1.5, 6.0)]),
            of(&[(0.1, 3.0), (0.9, 4.0), (1.4, 8.0)]),
            of(&[(0.3, 2.0), (1.0, 3.0)]),
        ];
        let from = known_from(&series).unwrap();
        assert_eq!(from, seconds(0.3));
        let mean = mean(&sum(&series), from, seconds(2.0)).unwrap();
        assert!((mean - 23.4 / 1.7).abs() < 1e-9, "{mean}");
    }

    #[test]
    fn there_is_no_mean_of_nothing() {
        assert_eq!(mean(&[], seconds(0.0), seconds(1.0)), None);
        assert_eq!(mean(&[(seconds(3.0), 1.0)], seconds(0.0), seconds(1.0)), None);
        assert_eq!(mean(&[(seconds(0.0), 1.0)], seconds(1.0), seconds(1.0)), None);
        assert_eq!(known_from(&[vec![], vec![(seconds(1.0), 1.0)]]), None);
    }
}
