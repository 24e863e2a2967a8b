//! [`AutoscalingConfig`]: the bounds, the delays and the factors with which a deployment's number
//! of replicas follows its load.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use thiserror::Error;

use crate::deployment::setting::{Setting, ValueKind};
use crate::deployment::table::{self, GivenIn, OnUpdate, OptionFault, OptionInfo, optional, plain};

/// The configuration with which a deployment's number of replicas follows its load.
///
/// The load is the number of calls that run or wait, summed over the whole deployment, and
/// aggregated over [`look_back_period`](Self::look_back_period). The wanted number of replicas is
/// the number that keeps [`target_ongoing_requests`](Self::target_ongoing_requests) on each
/// replica. A change is made once it has been wanted without a break for its delay. Names and
/// defaults are Ray Serve's.
///
/// In a config file, a duration is a text (`upscale_delay: 30s`) or, with `_s` appended to the
/// name, a number of seconds (`upscale_delay_s: 30`). An unknown key is an error.
///
/// ```
/// use std::time::Duration;
/// use serve_core::autoscaling::AutoscalingConfig;
///
/// let config = AutoscalingConfig::new()
///     .min_replicas(0)
///     .max_replicas(8)
///     .upscale_delay(Duration::from_secs(5));
/// assert!(config.check().is_ok());
/// assert!(AutoscalingConfig::new().min_replicas(5).check().is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AutoscalingConfig {
    /// The lower bound of the number of replicas: 1 unless set. With 0, an idle deployment stops
    /// altogether, and its next call waits until a replica has started.
    pub min_replicas: usize,
    /// The upper bound of the number of replicas: 1 unless set.
    pub max_replicas: usize,
    /// The number of replicas at first: `min_replicas` unless set, or the current number if a
    /// redeploy turns on autoscaling. A deployment that is already autoscaled keeps its number.
    pub initial_replicas: Option<usize>,
    /// The number of calls, running and waiting, that each replica should have: 2 unless set.
    pub target_ongoing_requests: f64,
    /// The time for which more replicas must be wanted before they start: 30 s unless set.
    pub upscale_delay: Duration,
    /// The time for which fewer replicas must be wanted before some stop: 600 s unless set.
    pub downscale_delay: Duration,
    /// The time for which the last replica must be unwanted before it stops: `downscale_delay`
    /// unless set.
    pub downscale_to_zero_delay: Option<Duration>,
    /// The part of a wanted increase that is made at once: 1 unless set. A factor above 1
    /// overshoots, for a load that grows while replicas start.
    pub upscaling_factor: f64,
    /// The part of a wanted decrease that is made at once: 1 unless set. A factor below 1 makes the
    /// decrease gradual.
    pub downscaling_factor: f64,
    /// The time over which the load is aggregated: 30 s unless set.
    pub look_back_period: Duration,
    /// The aggregation of the load over that period: its mean unless set.
    pub aggregation: Aggregation,
}

/// The aggregation of the load over the look-back period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Aggregation {
    /// The mean over time.
    #[default]
    Mean,
    /// The lowest value: replicas for a lasting load, none for bursts.
    Min,
    /// The highest value: replicas for the worst moment.
    Max,
}

impl Default for AutoscalingConfig {
    fn default() -> Self {
        Self {
            min_replicas: 1,
            max_replicas: 1,
            initial_replicas: None,
            target_ongoing_requests: 2.0,
            upscale_delay: Duration::from_secs(30),
            downscale_delay: Duration::from_secs(600),
            downscale_to_zero_delay: None,
            upscaling_factor: 1.0,
            downscaling_factor: 1.0,
            look_back_period: Duration::from_secs(30),
            aggregation: Aggregation::Mean,
        }
    }
}

impl AutoscalingConfig {
    /// Creates a config with the defaults, which mean exactly one replica: set at least
    /// [`max_replicas`](Self::max_replicas).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates the config that `num_replicas = "auto"` means: 1 to 100 replicas with 2 calls on
    /// each, as in Ray Serve.
    #[must_use]
    pub fn auto() -> Self {
        Self::new().max_replicas(100)
    }

    /// Sets the lower bound; 0 allows scaling to zero.
    #[must_use]
    pub fn min_replicas(mut self, replicas: usize) -> Self {
        self.min_replicas = replicas;
        self
    }

    /// Sets the upper bound; at least 1.
    #[must_use]
    pub fn max_replicas(mut self, replicas: usize) -> Self {
        self.max_replicas = replicas;
        self
    }

    /// Sets the number of replicas at the first deploy, within the bounds.
    #[must_use]
    pub fn initial_replicas(mut self, replicas: usize) -> Self {
        self.initial_replicas = Some(replicas);
        self
    }

    /// Sets the number of calls, running and waiting, that each replica should have; above 0.
    #[must_use]
    pub fn target_ongoing_requests(mut self, calls: f64) -> Self {
        self.target_ongoing_requests = calls;
        self
    }

    /// Sets the time for which more replicas must be wanted before they start.
    #[must_use]
    pub fn upscale_delay(mut self, delay: Duration) -> Self {
        self.upscale_delay = delay;
        self
    }

    /// Sets the time for which fewer replicas must be wanted before some stop.
    #[must_use]
    pub fn downscale_delay(mut self, delay: Duration) -> Self {
        self.downscale_delay = delay;
        self
    }

    /// Sets the time for which the last replica must be unwanted before it stops.
    #[must_use]
    pub fn downscale_to_zero_delay(mut self, delay: Duration) -> Self {
        self.downscale_to_zero_delay = Some(delay);
        self
    }

    /// Sets the part of a wanted increase that is made at once; above 0.
    #[must_use]
    pub fn upscaling_factor(mut self, factor: f64) -> Self {
        self.upscaling_factor = factor;
        self
    }

    /// Sets the part of a wanted decrease that is made at once; above 0.
    #[must_use]
    pub fn downscaling_factor(mut self, factor: f64) -> Self {
        self.downscaling_factor = factor;
        self
    }

    /// Sets the time over which the load is aggregated; above 0.
    #[must_use]
    pub fn look_back_period(mut self, period: Duration) -> Self {
        self.look_back_period = period;
        self
    }

    /// Sets the aggregation of the load over that period.
    #[must_use]
    pub fn aggregation(mut self, aggregation: Aggregation) -> Self {
        self.aggregation = aggregation;
        self
    }

    /// Returns `replicas`, limited to the bounds.
    pub(crate) fn bounded(&self, replicas: usize) -> usize {
        replicas.min(self.max_replicas).max(self.min_replicas)
    }

    /// Returns the number of replicas that a deploy asks for: the number that the load asked for
    /// `before` the deploy, or the initial number at the first deploy.
    pub(crate) fn first_target(&self, before: Option<usize>) -> usize {
        self.bounded(before.or(self.initial_replicas).unwrap_or(self.min_replicas))
    }

    /// Rejects values that make no sense.
    ///
    /// # Errors
    /// Returns an error for the first option whose value is out of its range.
    pub fn check(&self) -> Result<(), AutoscalingError> {
        self.errors().into_iter().next().map_or(Ok(()), Err)
    }

    /// Returns an error for each option whose value is out of its range.
    pub(crate) fn errors(&self) -> Vec<AutoscalingError> {
        let mut errors = Vec::new();
        let (min, max) = (self.min_replicas, self.max_replicas);
        if max == 0 {
            errors.push(AutoscalingError::NoReplicas);
        } else if min > max {
            errors.push(AutoscalingError::Bounds { min, max });
        } else if let Some(initial) = self.initial_replicas
            && !(min..=max).contains(&initial)
        {
            errors.push(AutoscalingError::Initial { initial, min, max });
        }
        for (option, value) in [
            ("target_ongoing_requests", self.target_ongoing_requests),
            ("upscaling_factor", self.upscaling_factor),
            ("downscaling_factor", self.downscaling_factor),
        ] {
            if !(value.is_finite() && value > 0.0) {
                errors.push(AutoscalingError::NotPositive { option, value });
            }
        }
        if self.look_back_period.is_zero() {
            errors.push(AutoscalingError::LookBack);
        }
        errors
    }
}

/// An autoscaling option whose value makes no sense.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum AutoscalingError {
    /// The upper bound is 0, so that no replica may ever run.
    #[error(
        "`max_replicas` is 0: give at least 1 (`min_replicas = 0` lets an idle deployment stop)"
    )]
    NoReplicas,
    /// The lower bound is above the upper one.
    #[error(
        "`min_replicas` is {min} and `max_replicas` is {max}: raise `max_replicas` to at least \
         {min}, or lower `min_replicas`"
    )]
    Bounds {
        /// `min_replicas`.
        min: usize,
        /// `max_replicas`, 1 unless set.
        max: usize,
    },
    /// The initial number is outside the bounds.
    #[error(
        "`initial_replicas` is {initial}: give a number from {min} (`min_replicas`) to {max} \
         (`max_replicas`)"
    )]
    Initial {
        /// `initial_replicas`.
        initial: usize,
        /// `min_replicas`.
        min: usize,
        /// `max_replicas`.
        max: usize,
    },
    /// A number that is zero, negative, infinite or NaN.
    #[error("`{option}` is {value}: give a number above 0")]
    NotPositive {
        /// The option.
        option: &'static str,
        /// The value of the option.
        value: f64,
    },
    /// A look-back period of 0, over which there is no load.
    #[error("`look_back_period` is 0: give a duration above 0, like \"30s\"")]
    LookBack,
}

impl AutoscalingError {
    /// Returns the option that the error is about.
    #[cfg(feature = "config")]
    pub(crate) fn option(&self) -> &'static str {
        match self {
            Self::NoReplicas => "max_replicas",
            Self::Bounds { .. } => "min_replicas",
            Self::Initial { .. } => "initial_replicas",
            Self::NotPositive { option, .. } => option,
            Self::LookBack => "look_back_period",
        }
    }
}

type Accessors = (
    fn(&AutoscalingConfig) -> Option<Value>,
    fn(&mut AutoscalingConfig, Value) -> Result<(), Vec<OptionFault>>,
);

const fn option(
    name: &'static str,
    kind: ValueKind,
    default: &'static str,
    doc: &'static str,
    (get, set): Accessors,
) -> OptionInfo<AutoscalingConfig> {
    let (aliases, on_update, given_in) = (&[], OnUpdate::InPlace, GivenIn::All);
    OptionInfo { name, aliases, kind, default, doc, on_update, given_in, get, set }
}

const ABOVE_0: ValueKind = ValueKind::Number { from: 0.0, to: f64::INFINITY, above: true };

/// The options of `autoscaling(..)`.
pub static AUTOSCALING: [OptionInfo<AutoscalingConfig>; 11] = [
    option(
        "min_replicas",
        ValueKind::Count { min: 0 },
        "1",
        "never fewer replicas; 0 lets an idle deployment stop, and its next call starts it again",
        plain!(AutoscalingConfig, min_replicas),
    ),
    option(
        "max_replicas",
        ValueKind::Count { min: 1 },
        "1",
        "never more replicas",
        plain!(AutoscalingConfig, max_replicas),
    ),
    option(
        "initial_replicas",
        ValueKind::Count { min: 0 },
        "`min_replicas`",
        "the number of replicas at the first deploy",
        optional!(AutoscalingConfig, initial_replicas),
    ),
    option(
        "target_ongoing_requests",
        ABOVE_0,
        "2",
        "calls, running and waiting, that each replica should have",
        plain!(AutoscalingConfig, target_ongoing_requests),
    ),
    option(
        "upscale_delay",
        ValueKind::Duration { zero: true },
        "30s",
        "how long more replicas must be wanted before some start",
        plain!(AutoscalingConfig, upscale_delay),
    ),
    option(
        "downscale_delay",
        ValueKind::Duration { zero: true },
        "600s",
        "how long fewer replicas must be wanted before some stop",
        plain!(AutoscalingConfig, downscale_delay),
    ),
    option(
        "downscale_to_zero_delay",
        ValueKind::Duration { zero: true },
        "`downscale_delay`",
        "the same for the last replica",
        optional!(AutoscalingConfig, downscale_to_zero_delay),
    ),
    option(
        "upscaling_factor",
        ABOVE_0,
        "1",
        "the part of a wanted increase that is made at once",
        plain!(AutoscalingConfig, upscaling_factor),
    ),
    option(
        "downscaling_factor",
        ABOVE_0,
        "1",
        "the part of a wanted decrease that is made at once",
        plain!(AutoscalingConfig, downscaling_factor),
    ),
    option(
        "look_back_period",
        ValueKind::Duration { zero: false },
        "30s",
        "the time over which the load is aggregated",
        plain!(AutoscalingConfig, look_back_period),
    ),
    OptionInfo {
        aliases: &["aggregation_function"],
        ..option(
            "aggregation",
            ValueKind::Aggregation,
            "`mean`",
            "the value of that period which counts: its `mean`, `min` or `max`",
            plain!(AutoscalingConfig, aggregation),
        )
    },
];

impl Setting for AutoscalingConfig {
    fn read(value: Value) -> Result<Self, String> {
        Self::read_all(value).map_err(|faults| OptionFault::in_all(&faults))
    }

    fn read_all(value: Value) -> Result<Self, Vec<OptionFault>> {
        match value {
            Value::Object(map) => table::read(&AUTOSCALING, map),
            other => Err(OptionFault::here(format!("{other} is not a map of options"))),
        }
    }

    fn write(&self) -> Value {
        table::write(&AUTOSCALING, self).into()
    }
}

impl Setting for Aggregation {
    fn read(value: Value) -> Result<Self, String> {
        serde_json::from_value(value.clone())
            .map_err(|_| format!("{value} is not \"mean\", \"min\" or \"max\""))
    }

    fn write(&self) -> Value {
        Value::from(match self {
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
        })
    }
}

impl Serialize for AutoscalingConfig {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.write().serialize(to)
    }
}

impl<'de> Deserialize<'de> for AutoscalingConfig {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::read(Value::deserialize(from)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for AutoscalingConfig {
    fn schema_name() -> Cow<'static, str> {
        "AutoscalingConfig".into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        table::schema(&AUTOSCALING, schemas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_one_to_a_hundred_replicas_with_two_calls_on_each() {
        let auto = AutoscalingConfig::auto();
        assert_eq!((auto.min_replicas, auto.max_replicas), (1, 100));
        assert_eq!(auto.target_ongoing_requests, 2.0);
        assert_eq!(auto.check(), Ok(()));
    }

    #[test]
    fn nonsense_is_refused_by_the_option_that_it_is_in() {
        let new = AutoscalingConfig::new;
        for (config, start) in [
            (new().max_replicas(0), "`max_replicas` is 0"),
            (new().min_replicas(5), "`min_replicas` is 5 and `max_replicas` is 1"),
            (new().max_replicas(4).initial_replicas(5), "`initial_replicas` is 5"),
            (new().min_replicas(1).initial_replicas(0), "`initial_replicas` is 0"),
            (new().target_ongoing_requests(0.0), "`target_ongoing_requests` is 0"),
            (new().target_ongoing_requests(f64::NAN), "`target_ongoing_requests` is NaN"),
            (new().upscaling_factor(-1.0), "`upscaling_factor` is -1"),
            (new().downscaling_factor(f64::INFINITY), "`downscaling_factor` is inf"),
            (new().look_back_period(Duration::ZERO), "`look_back_period` is 0"),
        ] {
            let text = config.check().unwrap_err().to_string();
            assert!(text.starts_with(start) && text.contains(':'), "{text}");
        }
    }

    #[test]
    fn scaling_to_zero_and_no_delay_at_all_are_fine() {
        let config = AutoscalingConfig::new()
            .min_replicas(0)
            .initial_replicas(0)
            .upscale_delay(Duration::ZERO)
            .downscale_delay(Duration::ZERO)
            .downscale_to_zero_delay(Duration::ZERO);
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn a_config_file_writes_durations_as_text_and_leaves_out_defaults() {
        let config: AutoscalingConfig = serde_json::from_str(
            r#"{"max_replicas": 4, "upscale_delay": "500ms", "downscale_to_zero_delay": "1h 5m",
                "aggregation": "max"}"#,
        )
        .unwrap();
        let expected = AutoscalingConfig::new()
            .max_replicas(4)
            .upscale_delay(Duration::from_millis(500))
            .downscale_to_zero_delay(Duration::from_secs(65 * 60))
            .aggregation(Aggregation::Max);
        assert_eq!(config, expected);
        let text = serde_json::to_string(&config).unwrap();
        assert!(text.contains(r#""downscale_delay":"10m""#), "{text}");
        assert_eq!(serde_json::from_str::<AutoscalingConfig>(&text).unwrap(), config);
    }

    #[test]
    fn ray_serves_names_are_read_and_unknown_keys_and_bad_durations_refused() {
        let parse = serde_json::from_str::<AutoscalingConfig>;
        let config = parse(r#"{"upscale_delay_s": 5, "aggregation_function": "min"}"#).unwrap();
        let expected = AutoscalingConfig::new()
            .upscale_delay(Duration::from_secs(5))
            .aggregation(Aggregation::Min);
        assert_eq!(config, expected);
        for (text, said) in [
            (
                r#"{"upscale_dely": "30s"}"#,
                "`upscale_dely`: there is no such option; did you mean `upscale_delay`?",
            ),
            (
                r#"{"upscale_delay": "soon"}"#,
                "`upscale_delay`: \"soon\" is not a duration such as \"30s\"",
            ),
            (r#"{"upscale_delay": 30}"#, "`upscale_delay`: 30 has no unit"),
            (
                r#"{"upscale_delay": "1s", "upscale_delay_s": 1}"#,
                "`upscale_delay` is the same option",
            ),
            (
                r#"{"min_replicas": -1, "max_replicas": "many"}"#,
                "; `min_replicas`: -1 is not a count",
            ),
            (r#"{"aggregation": "median"}"#, "is not \"mean\""),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
