//! [`AutoscalingConfig`]: between which bounds, how fast and by how much a deployment's
//! replicas follow its load.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How a deployment's number of replicas follows its load.
///
/// The load is the number of calls that run or wait, summed over the whole deployment,
/// and aggregated over [`look_back_period`](Self::look_back_period). As many replicas are
/// wanted as keep [`target_ongoing_requests`](Self::target_ongoing_requests) on each, and
/// a change is made once it has been wanted without a break for its delay. Names and
/// defaults are Ray Serve's.
///
/// In a config file a duration is a text (`upscale_delay: 30s`), and an unknown key is an
/// error.
///
/// ```
/// use std::time::Duration;
/// use serve_core::AutoscalingConfig;
///
/// let config = AutoscalingConfig::new()
///     .min_replicas(0)
///     .max_replicas(8)
///     .upscale_delay(Duration::from_secs(5));
/// assert!(config.check().is_ok());
/// assert!(AutoscalingConfig::new().min_replicas(5).check().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AutoscalingConfig {
    /// Never fewer replicas than this: 1 unless set. 0 lets an idle deployment stop
    /// altogether; its next call waits until a replica has started.
    pub min_replicas: usize,
    /// Never more replicas than this: 1 unless set.
    pub max_replicas: usize,
    /// Replicas at first: `min_replicas` unless set, or as many as there are where a redeploy
    /// begins to autoscale. A deployment that is autoscaled already keeps its number.
    pub initial_replicas: Option<usize>,
    /// Calls, running and waiting, that each replica should have: 2 unless set.
    pub target_ongoing_requests: f64,
    /// How long more replicas must be wanted before they start: 30 s unless set.
    #[serde(with = "text")]
    #[schemars(with = "String")]
    pub upscale_delay: Duration,
    /// How long fewer replicas must be wanted before some stop: 600 s unless set.
    #[serde(with = "text")]
    #[schemars(with = "String")]
    pub downscale_delay: Duration,
    /// The same for the last replica: `downscale_delay` unless set.
    #[serde(with = "optional_text")]
    #[schemars(with = "Option<String>")]
    pub downscale_to_zero_delay: Option<Duration>,
    /// Which part of a wanted increase is made at once: 1 unless set. Above 1 it
    /// overshoots, for a load that grows while replicas start.
    pub upscaling_factor: f64,
    /// Which part of a wanted decrease is made at once: 1 unless set. Below 1 it steps
    /// down softly.
    pub downscaling_factor: f64,
    /// Over how long the load is aggregated: 30 s unless set.
    #[serde(with = "text")]
    #[schemars(with = "String")]
    pub look_back_period: Duration,
    /// What of that period counts: its mean unless set.
    pub aggregation: Aggregation,
}

/// What counts of the load over the look-back period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Aggregation {
    /// Its mean over time.
    #[default]
    Mean,
    /// Its lowest value: replicas for what lasts, none for bursts.
    Min,
    /// Its highest value: replicas for the worst moment.
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
    /// The defaults: exactly one replica, so set at least
    /// [`max_replicas`](Self::max_replicas).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What `num_replicas = "auto"` means: 1 to 100 replicas, 2 calls on each, as in Ray
    /// Serve.
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

    /// Sets the calls, running and waiting, that each replica should have; above 0.
    #[must_use]
    pub fn target_ongoing_requests(mut self, calls: f64) -> Self {
        self.target_ongoing_requests = calls;
        self
    }

    /// Sets how long more replicas must be wanted before they start.
    #[must_use]
    pub fn upscale_delay(mut self, delay: Duration) -> Self {
        self.upscale_delay = delay;
        self
    }

    /// Sets how long fewer replicas must be wanted before some stop.
    #[must_use]
    pub fn downscale_delay(mut self, delay: Duration) -> Self {
        self.downscale_delay = delay;
        self
    }

    /// Sets how long the last replica must be unwanted before it stops.
    #[must_use]
    pub fn downscale_to_zero_delay(mut self, delay: Duration) -> Self {
        self.downscale_to_zero_delay = Some(delay);
        self
    }

    /// Sets which part of a wanted increase is made at once; above 0.
    #[must_use]
    pub fn upscaling_factor(mut self, factor: f64) -> Self {
        self.upscaling_factor = factor;
        self
    }

    /// Sets which part of a wanted decrease is made at once; above 0.
    #[must_use]
    pub fn downscaling_factor(mut self, factor: f64) -> Self {
        self.downscaling_factor = factor;
        self
    }

    /// Sets over how long the load is aggregated; above 0.
    #[must_use]
    pub fn look_back_period(mut self, period: Duration) -> Self {
        self.look_back_period = period;
        self
    }

    /// Sets what counts of that period.
    #[must_use]
    pub fn aggregation(mut self, aggregation: Aggregation) -> Self {
        self.aggregation = aggregation;
        self
    }

    /// `replicas`, or the bound that it is beyond.
    pub(crate) fn bounded(&self, replicas: usize) -> usize {
        replicas.min(self.max_replicas).max(self.min_replicas)
    }

    /// How many replicas a deploy asks for: as many as the load asked for `before` it, or
    /// at the first deploy the initial number.
    pub(crate) fn first_target(&self, before: Option<usize>) -> usize {
        self.bounded(before.or(self.initial_replicas).unwrap_or(self.min_replicas))
    }

    /// Refuses values that make no sense.
    ///
    /// # Errors
    /// The first option whose value is out of its range.
    pub fn check(&self) -> Result<(), AutoscalingError> {
        let (min, max) = (self.min_replicas, self.max_replicas);
        if max == 0 {
            return Err(AutoscalingError::NoReplicas);
        }
        if min > max {
            return Err(AutoscalingError::Bounds { min, max });
        }
        if let Some(initial) = self.initial_replicas
            && !(min..=max).contains(&initial)
        {
            return Err(AutoscalingError::Initial { initial, min, max });
        }
        for (option, value) in [
            ("target_ongoing_requests", self.target_ongoing_requests),
            ("upscaling_factor", self.upscaling_factor),
            ("downscaling_factor", self.downscaling_factor),
        ] {
            if !(value.is_finite() && value > 0.0) {
                return Err(AutoscalingError::NotPositive { option, value });
            }
        }
        if self.look_back_period.is_zero() {
            return Err(AutoscalingError::LookBack);
        }
        Ok(())
    }
}

/// An autoscaling option whose value makes no sense.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum AutoscalingError {
    /// No replica may ever run.
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
    /// Zero, below, infinite or not a number.
    #[error("`{option}` is {value}: give a number above 0")]
    NotPositive {
        /// The option.
        option: &'static str,
        /// What it was set to.
        value: f64,
    },
    /// There is no load over no time.
    #[error("`look_back_period` is 0: give a duration above 0, like \"30s\"")]
    LookBack,
}

/// Durations as people write them.
mod text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        parse(&String::deserialize(from)?)
    }

    pub(super) fn parse<E: de::Error>(text: &str) -> Result<Duration, E> {
        humantime::parse_duration(text).map_err(|error| {
            E::custom(format_args!("{text:?} is no duration like \"30s\" or \"500ms\": {error}"))
        })
    }
}

/// The same, where there may be none.
mod optional_text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.serialize_some(&humantime::format_duration(*value).to_string()),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| super::text::parse(&text)).transpose()
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
    fn a_config_file_with_an_unknown_key_or_a_bad_duration_is_refused() {
        let parse = |text| serde_json::from_str::<AutoscalingConfig>(text).unwrap_err().to_string();
        let unknown = parse(r#"{"upscale_delay_s": 30}"#);
        assert!(unknown.contains("upscale_delay_s") && unknown.contains("`upscale_delay`"));
        let bad = parse(r#"{"upscale_delay": "soon"}"#);
        assert!(bad.contains("\"soon\" is no duration like \"30s\""), "{bad}");
    }
}
