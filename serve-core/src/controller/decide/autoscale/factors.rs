//! Scaling factors: the part of a wanted change that is made at once.

/// Returns the number of replicas that follows from `desired`, before bounds and delays: the
/// difference from the running replicas, multiplied by the factor of its direction, rounded up.
///
/// With 0 running replicas, the result is `desired`, rounded up: there is no difference to amplify
/// yet, and a factor that is applied repeatedly while the first replicas start would compound. A
/// decrease that the factor would round away is made by one replica. The result may be negative.
pub(super) fn scaled(desired: f64, running: usize, up: f64, down: f64) -> i64 {
    if running == 0 {
        return round_up(desired);
    }
    #[expect(clippy::cast_precision_loss, reason = "no deployment has 2^52 replicas")]
    let current = running as f64;
    let running = i64::try_from(running).unwrap_or(i64::MAX);
    let factor = if desired > current { up } else { down };
    let scaled = round_up(current + factor * (desired - current));
    let stuck = round_up(desired) < running && scaled == running;
    if stuck { scaled - 1 } else { scaled }
}

/// Converts a number to a count of at least 1.
pub(super) fn to_count(number: f64) -> usize {
    usize::try_from(round_up(number)).unwrap_or(0).max(1)
}

fn round_up(number: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and bounds come after")]
    let whole = number.ceil() as i64;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scaling_factor_of_ray_serve_is_ours() {
        let text = include_str!("../../../../tests/vectors/scaling_factors.json");
        let vectors: serde_json::Value = serde_json::from_str(text).unwrap();
        let rows = vectors["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 360);
        for row in rows {
            let running = usize::try_from(row[0].as_u64().unwrap()).unwrap();
            let factor = |at: usize| row[at].as_f64().unwrap_or(1.0);
            let ours = scaled(row[1].as_f64().unwrap(), running, factor(2), factor(3));
            assert_eq!(ours, row[4].as_i64().unwrap(), "{row}");
        }
    }

    #[test]
    fn absurd_wishes_saturate() {
        assert_eq!(scaled(f64::INFINITY, 3, 1.0, 1.0), i64::MAX);
        assert_eq!(scaled(1e300, 0, 1.0, 1.0), i64::MAX);
        assert_eq!(to_count(0.3), 1);
    }
}
