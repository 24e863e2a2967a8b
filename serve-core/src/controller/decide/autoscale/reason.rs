//! [`Reason`]: the reason for a target, in a sentence for people.

use std::fmt;
use std::time::Duration;

/// The reason for a target. Formatted only when it is read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reason {
    /// A call is queued and no replica runs.
    Woken { calls: usize, target: usize },
    /// The bounds changed.
    Bounds { min: usize, target: usize },
    /// The load requires this many replicas, or more than the bounds allow.
    Settled { load: f64, wanted: usize, target: usize },
    /// A change that has not been wanted for long enough.
    Waiting { load: f64, wanted: usize, target: usize, left: Duration },
    /// A change, the time for which it was wanted, and the bound that limits it.
    Scaled { load: f64, from: usize, target: usize, lasted: Duration, bound: Option<&'static str> },
    /// The policy returned NaN.
    NotANumber,
    /// The policy panicked with this message.
    Panicked { message: String },
}

impl Reason {
    /// Returns `true` if no decision was possible.
    pub(super) fn is_failure(&self) -> bool {
        matches!(self, Self::NotANumber | Self::Panicked { .. })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Woken { calls, target } => write!(
                f,
                "{calls} {} waiting and no replica is running: {target} to start at once",
                if *calls == 1 { "call is" } else { "calls are" },
            ),
            Self::Bounds { min, target } if target == min => {
                write!(f, "`min_replicas` is {min} now")
            }
            Self::Bounds { target, .. } => write!(f, "`max_replicas` is {target} now"),
            Self::Settled { load, wanted, target } if wanted > target => write!(
                f,
                "a load of {load:.2} asks for {}, and `max_replicas` is {target}",
                Replicas(*wanted)
            ),
            Self::Settled { load, target, .. } => {
                write!(f, "a load of {load:.2} asks for no more than {}", Replicas(*target))
            }
            Self::Waiting { load, wanted, target, left } => {
                let (number, more) = difference(*target, *wanted);
                let left = humantime::format_duration(whole_milliseconds(*left));
                write!(
                    f,
                    "a load of {load:.2} asks for {}: {number} {more} in {left} if it lasts",
                    Replicas(*wanted)
                )
            }
            Self::Scaled { load, from, target, lasted, bound } => {
                let than = if target > from { "more" } else { "fewer" };
                write!(f, "a load of {load:.2} ")?;
                if lasted.is_zero() {
                    write!(f, "asks for {than} than {from}")?;
                } else {
                    let lasted = humantime::format_duration(whole_milliseconds(*lasted));
                    write!(f, "has asked for {than} than {from} for {lasted}")?;
                }
                write!(f, ": {} now", Replicas(*target))?;
                match bound {
                    Some(bound) => write!(f, ", the `{bound}`"),
                    None => Ok(()),
                }
            }
            Self::NotANumber => {
                f.write_str("the autoscaling policy answered NaN, which is not a number")
            }
            Self::Panicked { message } => write!(f, "the autoscaling policy panicked: {message}"),
        }
    }
}

struct Replicas(usize);

impl fmt::Display for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, if self.0 == 1 { "replica" } else { "replicas" })
    }
}

fn difference(from: usize, to: usize) -> (usize, &'static str) {
    (from.abs_diff(to), if to > from { "more" } else { "fewer" })
}

fn whole_milliseconds(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_a_sentence() {
        let waiting =
            Reason::Waiting { load: 1.0, wanted: 1, target: 4, left: Duration::from_micros(1500) };
        for (reason, text) in [
            (
                Reason::Woken { calls: 1, target: 1 },
                "1 call is waiting and no replica is running: 1 to start at once",
            ),
            (
                Reason::Settled { load: 50.0, wanted: 25, target: 8 },
                "a load of 50.00 asks for 25 replicas, and `max_replicas` is 8",
            ),
            (waiting, "a load of 1.00 asks for 1 replica: 3 fewer in 1ms if it lasts"),
            (
                Reason::Scaled {
                    load: 50.0,
                    from: 1,
                    target: 8,
                    lasted: Duration::from_secs(30),
                    bound: Some("max_replicas"),
                },
                "a load of 50.00 has asked for more than 1 for 30s: 8 replicas now, the \
                 `max_replicas`",
            ),
            (
                Reason::Scaled {
                    load: 1.5,
                    from: 4,
                    target: 1,
                    lasted: Duration::ZERO,
                    bound: None,
                },
                "a load of 1.50 asks for fewer than 4: 1 replica now",
            ),
            (
                Reason::Panicked { message: "no broker".to_owned() },
                "the autoscaling policy panicked: no broker",
            ),
            (Reason::Bounds { min: 1, target: 6 }, "`max_replicas` is 6 now"),
            (Reason::Bounds { min: 3, target: 3 }, "`min_replicas` is 3 now"),
        ] {
            assert_eq!(reason.to_string(), text);
        }
    }
}
