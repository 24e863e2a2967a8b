//! [`DeploymentOptions`]: the options of a deployment, and the check that their values make sense.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

use super::autoscaling::{AutoscalingConfig, AutoscalingError, SharedPolicy};
use super::options_table::OPTIONS;
use super::request_router::RequestRouting;
use super::setting::{MOST_RESERVED, Setting, ValueKind, number};
use super::table::{OnUpdate, OptionInfo};

/// The options of a deployment. `None` means the default that each getter names.
///
/// `#[deployment(...)]` sets the options, the methods of `Bound` override them, and
/// [`DeploymentOptions::check`] rejects values that make no sense before anything starts.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DeploymentOptions {
    /// The name in the application; default: the struct's name.
    pub name: Option<String>,
    /// See [`DeploymentOptions::num_replicas`]. Excludes `autoscaling`.
    pub num_replicas: Option<usize>,
    /// The configuration of autoscaling; default: the number of replicas does not follow the load.
    pub autoscaling: Option<AutoscalingConfig>,
    /// The rule for the number of replicas that a load asks for; default: the number that
    /// `target_ongoing_requests` asks for. Needs `autoscaling`.
    pub autoscaling_policy: Option<SharedPolicy>,
    /// See [`DeploymentOptions::max_ongoing_requests`].
    pub max_ongoing_requests: Option<usize>,
    /// The limit of calls that wait for a replica, over the whole deployment; default: no limit.
    pub max_queued_requests: Option<usize>,
    /// The deadline of a call that brings none, as a duration; default: no deadline.
    pub request_timeout: Option<Duration>,
    /// CPUs reserved for each replica; default 0. The number also sets the number of threads for
    /// `#[blocking]` methods.
    pub num_cpus: Option<f64>,
    /// GPUs reserved for each replica, whole or a fraction of one; default 0.
    pub num_gpus: Option<f64>,
    /// Memory reserved for each replica, in bytes; default 0.
    pub memory: Option<u64>,
    /// Other resources reserved for each replica, by name; default none.
    pub resources: BTreeMap<String, f64>,
    /// The limit of replicas on one node; default: no limit.
    pub max_replicas_per_node: Option<usize>,
    /// See [`DeploymentOptions::health_check_period`].
    pub health_check_period: Option<Duration>,
    /// See [`DeploymentOptions::health_check_timeout`].
    pub health_check_timeout: Option<Duration>,
    /// See [`DeploymentOptions::graceful_shutdown_timeout`].
    pub graceful_shutdown_timeout: Option<Duration>,
    /// See [`DeploymentOptions::max_constructor_retry_count`].
    pub max_constructor_retry_count: Option<usize>,
    /// See [`DeploymentOptions::rolling_update_percentage`].
    pub rolling_update_percentage: Option<f64>,
    /// See [`DeploymentOptions::max_surge_percent`].
    pub max_surge_percent: Option<f64>,
    /// The request router, which chooses the replica for a call; default: power of two choices.
    pub request_router: Option<RequestRouting>,
    /// The value that `#[reconfigure]` receives, as JSON; default: the method is not called.
    pub user_config: Option<Value>,
}

impl DeploymentOptions {
    /// Returns the number of replicas: 1 unless set. With autoscaling, this is the number at the
    /// first deploy.
    #[must_use]
    pub fn num_replicas(&self) -> usize {
        match &self.autoscaling {
            Some(autoscaling) => autoscaling.first_target(None),
            None => self.num_replicas.unwrap_or(1),
        }
    }

    /// Returns the limit of concurrent calls on each replica: 100 unless set (Ray Serve's own
    /// default is 5).
    #[must_use]
    pub fn max_ongoing_requests(&self) -> usize {
        self.max_ongoing_requests.unwrap_or(100)
    }

    /// Returns the period at which `#[check_health]` is called: 10 s unless set, as in Ray Serve.
    #[must_use]
    pub fn health_check_period(&self) -> Duration {
        self.health_check_period.unwrap_or(Duration::from_secs(10))
    }

    /// Returns the time limit of one `#[check_health]` call: 30 s unless set, as in Ray Serve.
    #[must_use]
    pub fn health_check_timeout(&self) -> Duration {
        self.health_check_timeout.unwrap_or(Duration::from_secs(30))
    }

    /// Returns the time for which a drained replica's calls may continue: 20 s unless set, as in
    /// Ray Serve.
    #[must_use]
    pub fn graceful_shutdown_timeout(&self) -> Duration {
        self.graceful_shutdown_timeout.unwrap_or(Duration::from_secs(20))
    }

    /// Returns the number of failed starts before a deploy fails: 20 unless set, as in Ray Serve. A
    /// deploy also fails after three failed starts for each replica.
    #[must_use]
    pub fn max_constructor_retry_count(&self) -> usize {
        self.max_constructor_retry_count.unwrap_or(20)
    }

    /// Returns the part of the replicas that an update replaces at a time: 0.2 unless set, as in
    /// Ray Serve.
    #[must_use]
    pub fn rolling_update_percentage(&self) -> f64 {
        self.rolling_update_percentage.unwrap_or(0.2)
    }

    /// Returns the number of replicas beyond the wanted number that an update may run meanwhile, in
    /// percent of the wanted number: 0 unless set, as in Ray Serve.
    #[must_use]
    pub fn max_surge_percent(&self) -> f64 {
        self.max_surge_percent.unwrap_or(0.0)
    }

    /// Returns the number of threads for `#[blocking]` methods: `num_cpus` rounded up, at least
    /// one.
    #[must_use]
    pub fn compute_threads(&self) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be a small number that is not negative"
        )]
        let threads = self.num_cpus.unwrap_or(0.0).ceil() as usize;
        threads.max(1)
    }

    /// True if a change of the options to `other` replaces the replicas, because what the replicas
    /// hold or were created with differs.
    ///
    /// All other options change in place, except that a user config cannot be taken back from an
    /// instance that has received one.
    pub(crate) fn need_other_replicas(&self, other: &Self) -> bool {
        let restarts = |option: &&OptionInfo<Self>| option.on_update == OnUpdate::Restart;
        OPTIONS.iter().filter(restarts).any(|option| !option.is_same(self, other))
            || (self.user_config.is_some() && other.user_config.is_none())
    }

    /// True if `self` and `other` differ at most in options that Ray Serve calls lightweight.
    pub(crate) fn differ_in_scale_only(&self, other: &Self) -> bool {
        let others = |option: &&OptionInfo<Self>| option.on_update != OnUpdate::Scale;
        OPTIONS.iter().filter(others).all(|option| match option.name {
            // Two policies without names may differ, even if they have the same type.
            "autoscaling_policy" => self.autoscaling_policy == other.autoscaling_policy,
            _ => option.is_same(self, other),
        })
    }

    /// Rejects values that make no sense.
    ///
    /// # Errors
    /// Returns an error if options contradict each other, or for the first option whose value is
    /// out of its range.
    pub fn check(&self) -> Result<(), OptionsError> {
        self.errors().into_iter().next().map_or(Ok(()), Err)
    }

    /// Returns an error for each contradiction and each value that is out of its range.
    pub(crate) fn errors(&self) -> Vec<OptionsError> {
        let mut errors = Vec::new();
        if let Some(autoscaling) = &self.autoscaling {
            if self.num_replicas.is_some() {
                errors.push(OptionsError::FixedAndAutoscaled);
            }
            errors.extend(autoscaling.errors().into_iter().map(OptionsError::from));
            if autoscaling.min_replicas == 0 && self.max_queued_requests == Some(0) {
                errors.push(OptionsError::NothingWakesIt);
            }
        } else if self.autoscaling_policy.is_some() {
            errors.push(OptionsError::PolicyWithoutAutoscaling);
        }
        for option in &OPTIONS {
            if let Some(Err(error)) = option.value(self).map(|value| check_range(option, &value)) {
                errors.push(error);
            }
        }
        errors
    }
}

/// Rejects a value that is out of the range of its option.
fn check_range(option: &OptionInfo<DeploymentOptions>, value: &Value) -> Result<(), OptionsError> {
    let within = |name: &str, value: &Value, from: f64, to: f64| {
        let value = number(value).unwrap_or(f64::NAN);
        let option = || name.to_owned();
        (from..=to).contains(&value).then_some(value).ok_or_else(|| OptionsError::Range {
            option: option(),
            value,
            from,
            to,
        })
    };
    match option.kind {
        ValueKind::Name => {
            let name = value.as_str().unwrap_or_default();
            if name.is_empty() || name.contains('#') {
                return Err(OptionsError::Name(name.to_owned()));
            }
        }
        ValueKind::Count { min: 1 } | ValueKind::Replicas if value.as_u64() == Some(0) => {
            return Err(OptionsError::Zero { option: option.name });
        }
        ValueKind::Duration { zero: false } if *value == Duration::ZERO.write() => {
            return Err(OptionsError::NoTime { option: option.name });
        }
        ValueKind::Number { from, to, above } => {
            let number = within(option.name, value, from, to)?;
            if above && number <= from {
                return Err(OptionsError::NothingAtATime);
            }
        }
        ValueKind::Gpus => {
            let gpus = within(option.name, value, 0.0, MOST_RESERVED)?;
            if gpus > 1.0 && gpus.fract() != 0.0 {
                return Err(OptionsError::FractionOfSeveral(gpus));
            }
        }
        ValueKind::Amounts => {
            for (name, amount) in value.as_object().into_iter().flatten() {
                within(name, amount, 0.0, MOST_RESERVED)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// An option whose value makes no sense.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum OptionsError {
    /// The name is empty or holds a `#`.
    #[error("`name` is {0:?}: a deployment's name must not be empty and must not contain `#`")]
    Name(String),
    /// A count that must be at least 1.
    #[error("`{option}` is 0: give at least 1")]
    Zero {
        /// The option.
        option: &'static str,
    },
    /// A duration that must not be zero.
    #[error("`{option}` is 0: must be more than 0, for example 10 s")]
    NoTime {
        /// The option.
        option: &'static str,
    },
    /// A number that is out of its range, or not finite.
    #[error("`{option}` is {value}: give a number from {from} to {to}")]
    Range {
        /// The option, or the resource.
        option: String,
        /// The value of the option.
        value: f64,
        /// The lower bound.
        from: f64,
        /// The upper bound.
        to: f64,
    },
    /// More than one GPU, but not a whole number of them.
    #[error("`num_gpus` is {0}: give a whole number, or a fraction of one")]
    FractionOfSeveral(f64),
    /// An update that would never make progress.
    #[error("`rolling_update_percentage` is 0: must be more than 0 and at most 1")]
    NothingAtATime,
    /// A fixed number of replicas together with autoscaling.
    #[error("`num_replicas` and `autoscaling` exclude each other: leave one out")]
    FixedAndAutoscaled,
    /// An autoscaling policy without autoscaling.
    #[error(
        "`autoscaling_policy` needs `autoscaling`, which sets the bounds: add \
         `autoscaling(max_replicas = 10)`, for example"
    )]
    PolicyWithoutAutoscaling,
    /// Options with which no replica would ever start: none runs at first, and no call may wait for
    /// one.
    #[error(
        "`max_queued_requests` is 0 and `min_replicas` is 0: no call could wait for the \
         first replica, so none would ever start; set one of them to at least 1"
    )]
    NothingWakesIt,
    /// An error in an option of autoscaling.
    #[error(transparent)]
    Autoscaling(#[from] AutoscalingError),
}

impl OptionsError {
    /// Returns the keys that lead to the option, and the description of the fault without the name
    /// of the option in front.
    #[cfg(feature = "config")]
    pub(crate) fn at_its_option(&self) -> super::OptionFault {
        let path = match self {
            Self::Name(_) => "name".to_owned(),
            Self::Zero { option } | Self::NoTime { option } => (*option).to_owned(),
            Self::Range { option, .. } => match OPTIONS.iter().any(|known| known.name == option) {
                true => option.clone(),
                false => format!("resources.{option}"),
            },
            Self::FractionOfSeveral(_) => "num_gpus".to_owned(),
            Self::NothingAtATime => "rolling_update_percentage".to_owned(),
            Self::FixedAndAutoscaled => "num_replicas".to_owned(),
            Self::PolicyWithoutAutoscaling => "autoscaling_policy".to_owned(),
            Self::NothingWakesIt => "max_queued_requests".to_owned(),
            Self::Autoscaling(error) => format!("autoscaling.{}", error.option()),
        };
        let message = self.to_string();
        let option = path.rsplit('.').next().unwrap_or_default();
        let said = message.strip_prefix(&format!("`{option}` is "));
        // A sentence about several options keeps all their names.
        let said = said.filter(|said| !said.split(':').next().unwrap_or_default().contains('`'));
        super::OptionFault {
            message: said.map_or_else(|| message.clone(), |said| format!("is {said}")),
            path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::AUTOSCALING;
    use crate::deployment::AutoscalingConfig;
    use humantime::format_duration;

    /// The table's defaults are text, for the guide and for the schema. The accessors decide.
    #[test]
    fn the_table_has_the_defaults_in_force() {
        let options = DeploymentOptions::default();
        let in_force = [
            ("num_replicas", options.num_replicas().to_string()),
            ("max_ongoing_requests", options.max_ongoing_requests().to_string()),
            ("health_check_period", format_duration(options.health_check_period()).to_string()),
            ("health_check_timeout", format_duration(options.health_check_timeout()).to_string()),
            (
                "graceful_shutdown_timeout",
                format_duration(options.graceful_shutdown_timeout()).to_string(),
            ),
            ("max_constructor_retry_count", options.max_constructor_retry_count().to_string()),
            ("rolling_update_percentage", options.rolling_update_percentage().to_string()),
            ("max_surge_percent", options.max_surge_percent().to_string()),
        ];
        for (name, value) in in_force {
            let row = OPTIONS.iter().find(|row| row.name == name).expect(name);
            assert_eq!(row.default, value, "{name}");
        }
        let config = AutoscalingConfig::new();
        let seconds = |duration| format_duration(duration).to_string();
        let in_force = [
            ("min_replicas", config.min_replicas.to_string()),
            ("max_replicas", config.max_replicas.to_string()),
            ("target_ongoing_requests", config.target_ongoing_requests.to_string()),
            ("upscale_delay", seconds(config.upscale_delay)),
            ("downscale_delay", seconds(config.downscale_delay)),
            ("look_back_period", seconds(config.look_back_period)),
        ];
        for (name, value) in in_force {
            let row = AUTOSCALING.iter().find(|row| row.name == name).expect(name);
            let default = humantime::parse_duration(row.default)
                .map_or_else(|_| row.default.to_owned(), seconds);
            assert_eq!(default, value, "{name}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        type Change = fn(&mut DeploymentOptions);
        let said = |change: Change| {
            let mut options = DeploymentOptions::default();
            change(&mut options);
            options.check().map_err(|error| error.to_string())
        };
        assert_eq!(said(|_| {}), Ok(()));
        let cases: [(Change, &str); 6] = [
            (|o| o.num_replicas = Some(0), "`num_replicas` is 0: give at least 1"),
            (|o| o.num_cpus = Some(-1.0), "`num_cpus` is -1: give a number from 0 to 65536"),
            (|o| o.num_cpus = Some(f64::NAN), "`num_cpus` is NaN: give a number from 0 to 65536"),
            (
                |o| o.num_gpus = Some(1.5),
                "`num_gpus` is 1.5: give a whole number, or a fraction of one",
            ),
            (
                |o| o.max_surge_percent = Some(101.0),
                "`max_surge_percent` is 101: give a number from 0 to 100",
            ),
            (
                |o| o.health_check_period = Some(Duration::ZERO),
                "`health_check_period` is 0: must be more than 0, for example 10 s",
            ),
        ];
        for (change, message) in cases {
            assert_eq!(said(change), Err(message.to_owned()));
        }
    }

    #[test]
    fn only_what_replicas_hold_needs_other_replicas() {
        let old = DeploymentOptions::default();
        let more = DeploymentOptions { num_replicas: Some(3), ..old.clone() };
        assert!(!old.need_other_replicas(&more));
        let larger = DeploymentOptions { num_cpus: Some(2.0), ..old.clone() };
        assert!(old.need_other_replicas(&larger));
    }
}
