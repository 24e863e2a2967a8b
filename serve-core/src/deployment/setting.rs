//! [`Setting`]: the form of an option's value in a config file; and [`ValueKind`], the type and range of
//! an option's values.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::AutoscalingConfig;
use super::table::OptionFault;

/// The most CPUs or GPUs that a node has, or the largest amount of another resource.
pub(super) const MOST_RESERVED: f64 = 65_536.0;

/// The type and the range of an option's values.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ValueKind {
    /// A deployment's name.
    Name,
    /// A count of at least `min`.
    Count {
        /// The lower bound.
        min: usize,
    },
    /// A number of replicas of at least 1, or `"auto"`.
    Replicas,
    /// A count of at least 0, or -1 for no limit, as in Ray Serve.
    Limit,
    /// A number from `from` to `to`.
    Number {
        /// The lower bound.
        from: f64,
        /// The upper bound; infinite if there is none.
        to: f64,
        /// True if the lower bound itself is out of range.
        above: bool,
    },
    /// A whole number of GPUs, or a part of one.
    Gpus,
    /// A duration.
    Duration {
        /// True if a duration of zero is allowed.
        zero: bool,
    },
    /// A number of bytes.
    Size,
    /// Amounts of resources, by name.
    Amounts,
    /// The options of `autoscaling(..)`.
    Autoscaling,
    /// The aggregation of the load over a period.
    Aggregation,
    /// The name of a request router.
    Router,
    /// The name of an autoscaling policy.
    Policy,
    /// Any JSON value.
    Json,
    /// `true` or `false`.
    Flag,
    /// A text.
    Text,
    /// A list of texts.
    Texts,
    /// A list of texts that are not shown.
    Secrets,
    /// A text that is not shown.
    Secret,
    /// A number of events in a period, such as `100/s`.
    Rate,
    /// An IP address to listen on, or `localhost`.
    Address,
    /// A port to listen on; 0 is a free one.
    Port,
    /// A port to listen on, or `off`.
    PortOrOff,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A filter of log events.
    LogFilter,
}

impl ValueKind {
    pub(super) fn is_duration(self) -> bool {
        matches!(self, Self::Duration { .. })
    }

    /// Returns the Rust type of the values.
    #[must_use]
    pub fn rust_type(self) -> &'static str {
        match self {
            Self::Name
            | Self::Router
            | Self::Policy
            | Self::Text
            | Self::Secret
            | Self::OneOf(_)
            | Self::LogFilter => "String",
            Self::Address => "IpAddr",
            Self::Port | Self::PortOrOff => "u16",
            Self::Count { .. } | Self::Replicas | Self::Limit => "usize",
            Self::Number { .. } | Self::Gpus => "f64",
            Self::Duration { .. } => "Duration",
            Self::Size => "u64",
            Self::Amounts => "BTreeMap<String, f64>",
            Self::Autoscaling => "AutoscalingConfig",
            Self::Aggregation => "Aggregation",
            Self::Json => "serde_json::Value",
            Self::Flag => "bool",
            Self::Texts | Self::Secrets => "Vec<String>",
            Self::Rate => "Rate",
        }
    }

    /// Returns the unit of a plain number, if there is one.
    #[must_use]
    pub fn unit(self) -> Option<&'static str> {
        match self {
            Self::Duration { .. } => Some("seconds"),
            Self::Size => Some("bytes"),
            _ => None,
        }
    }

    /// Returns the schema of a duration as a number of seconds.
    pub(super) fn seconds_schema(self) -> Schema {
        match self {
            Self::Duration { zero: false } => json_schema!({
                "type": ["number", "null"], "exclusiveMinimum": 0
            }),
            _ => json_schema!({ "type": ["number", "null"], "minimum": 0 }),
        }
    }

    /// Returns the schema of the values. Null, which means the default, is one of them.
    pub(crate) fn schema(self, schemas: &mut SchemaGenerator) -> Schema {
        match self {
            Self::Name => json_schema!({ "type": ["string", "null"], "pattern": "^[^#]+$" }),
            Self::Count { min } => json_schema!({ "type": ["integer", "null"], "minimum": min }),
            Self::Replicas => json_schema!({
                "anyOf": [{ "type": ["integer", "null"], "minimum": 1 }, { "const": "auto" }]
            }),
            Self::Limit => json_schema!({ "type": ["integer", "null"], "minimum": -1 }),
            Self::Number { from, to, above } => {
                let mut schema = json_schema!({ "type": ["number", "null"] });
                let least = if above { "exclusiveMinimum" } else { "minimum" };
                schema.insert(least.to_owned(), from.into());
                if to.is_finite() {
                    schema.insert("maximum".to_owned(), to.into());
                }
                schema
            }
            Self::Gpus => json_schema!({
                "anyOf": [
                    { "type": ["integer", "null"], "minimum": 0, "maximum": MOST_RESERVED },
                    { "type": "number", "minimum": 0, "maximum": 1 }
                ]
            }),
            Self::Duration { .. } => json_schema!({
                "type": ["string", "null"],
                "description": "a duration with its unit, such as `30s` or `500ms`",
                "pattern": DURATION,
            }),
            Self::Size => json_schema!({
                "anyOf": [
                    { "type": ["integer", "null"], "minimum": 0 },
                    { "type": "string", "pattern": "^[0-9]+ *([KMGT]iB|[kMGT]?B)?$" }
                ]
            }),
            Self::Amounts => json_schema!({
                "type": ["object", "null"],
                "additionalProperties": {
                    "type": "number", "minimum": 0, "maximum": MOST_RESERVED
                }
            }),
            Self::Autoscaling => {
                let mut schema = AutoscalingConfig::json_schema(schemas);
                schema.insert("type".to_owned(), serde_json::json!(["object", "null"]));
                schema
            }
            Self::Aggregation => json_schema!({ "enum": ["mean", "min", "max", null] }),
            Self::Router | Self::Policy => json_schema!({ "type": ["string", "null"] }),
            Self::Text | Self::Secret => {
                json_schema!({ "type": ["string", "null"], "minLength": 1 })
            }
            Self::Json => json_schema!({}),
            Self::Flag => json_schema!({ "type": ["boolean", "null"] }),
            Self::Texts | Self::Secrets => json_schema!({
                "anyOf": [
                    { "type": ["string", "null"] },
                    { "type": "array", "items": { "type": "string" } }
                ]
            }),
            Self::Rate => json_schema!({
                "type": ["string", "null"],
                "pattern": "^0*[1-9][0-9]* */ *(s|sec|second|m|min|minute|h|hour)$"
            }),
            Self::Address => json_schema!({ "type": ["string", "null"] }),
            Self::Port => json_schema!({
                "type": ["integer", "null"], "minimum": 0, "maximum": 65535
            }),
            Self::PortOrOff => json_schema!({
                "anyOf": [
                    { "type": ["integer", "null"], "minimum": 0, "maximum": 65535 },
                    { "const": "off" }
                ]
            }),
            Self::OneOf(words) => {
                let words = words.iter().map(|word| Value::from(*word)).chain([Value::Null]);
                json_schema!({ "enum": words.collect::<Vec<_>>() })
            }
            Self::LogFilter => json_schema!({ "type": ["string", "null"], "minLength": 1 }),
        }
    }
}

/// The pattern of a duration's text, as `humantime` reads it.
const DURATION: &str = "^ *(0|([0-9]+ *(nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds|second|secs|sec|s|\
                        minutes|minute|mins|min|m|hours|hour|hrs|hr|h|days|day|d|weeks|week|wks|wk|w|\
                        months|month|M|years|year|yrs|yr|y) *)+)$";

/// A value of an option that a config file can hold.
pub(crate) trait Setting: Sized {
    /// Reads the value. The error says what was expected.
    fn read(value: Value) -> Result<Self, String>;

    /// Reads the value, and reports all faults of the values within it.
    fn read_all(value: Value) -> Result<Self, Vec<OptionFault>> {
        Self::read(value).map_err(OptionFault::here)
    }

    fn write(&self) -> Value;
}

/// Converts a number of seconds into the text of a duration, such as `1s 500ms`.
pub(super) fn seconds(value: &Value) -> Result<Value, String> {
    let duration = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let duration = duration.ok_or_else(|| match value {
        Value::Number(_) => format!("{value} is not a number of seconds: give 0 or more"),
        _ => format!(
            "{value} is not a number of seconds; a duration with a unit, such as `30s`, goes \
                 without the `_s`"
        ),
    })?;
    Ok(duration.write())
}

/// Reads a whole number that is not negative, also one that is written as `3.0`.
fn whole(value: &Value) -> Option<u64> {
    // Beyond this number, a float is not exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_whole = |number: &f64| (0.0..EXACT).contains(number) && number.fract() == 0.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number in the range of both types"
    )]
    value.as_u64().or_else(|| value.as_f64().filter(is_whole).map(|number| number as u64))
}

impl Setting for usize {
    fn read(value: Value) -> Result<Self, String> {
        let count = whole(&value).and_then(|count| usize::try_from(count).ok());
        count.ok_or_else(|| format!("{value} is not a count: give a whole number"))
    }

    fn write(&self) -> Value {
        Value::from(*self)
    }
}

/// Reads a number, or the text of a number that is not finite.
pub(super) fn number(value: &Value) -> Option<f64> {
    let text = || value.as_str()?.parse().ok().filter(|number: &f64| !number.is_finite());
    value.as_f64().or_else(text)
}

impl Setting for f64 {
    fn read(value: Value) -> Result<Self, String> {
        number(&value).ok_or_else(|| format!("{value} is not a number"))
    }

    fn write(&self) -> Value {
        // JSON cannot hold a number that is not finite. Such a number is rejected later, by its
        // option's name.
        if self.is_finite() { Value::from(*self) } else { Value::from(self.to_string()) }
    }
}

impl Setting for String {
    fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(text),
            other => Err(format!("{other} is not a string")),
        }
    }

    fn write(&self) -> Value {
        Value::from(self.as_str())
    }
}

impl Setting for Duration {
    fn read(value: Value) -> Result<Self, String> {
        match &value {
            Value::String(text) => humantime::parse_duration(text).map_err(|error| {
                format!("{text:?} is not a duration such as \"30s\" or \"500ms\": {error}")
            }),
            Value::Number(_) => Err(format!(
                "{value} has no unit: write it as \"{value}s\", or give the seconds with `_s` behind \
                 the name"
            )),
            other => Err(format!("{other} is not a duration such as \"30s\" or \"500ms\"")),
        }
    }

    fn write(&self) -> Value {
        Value::from(humantime::format_duration(*self).to_string())
    }
}

/// A size in bytes.
impl Setting for u64 {
    fn read(value: Value) -> Result<Self, String> {
        // Ray Serve writes bytes as a float, such as `2e9`.
        let whole = |number: f64| (number >= 0.0 && number.fract() == 0.0).then_some(number);
        match &value {
            Value::String(text) => size(text),
            Value::Number(number) => number.as_u64().or_else(|| {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a whole number that is not negative; too large a one saturates"
                )]
                number.as_f64().and_then(whole).map(|number| number as Self)
            }),
            _ => None,
        }
        .ok_or_else(|| {
            format!("{value} is not a size: give bytes, or a string such as \"2GiB\" or \"500MB\"")
        })
    }

    fn write(&self) -> Value {
        Value::from(*self)
    }
}

/// Parses a size with a unit, such as `2GiB` or `500MB`, into bytes.
fn size(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 9] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    let (number, unit) = UNITS
        .iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)))
        .unwrap_or((text, 1));
    number.trim_end().parse::<u64>().ok()?.checked_mul(unit)
}

impl Setting for BTreeMap<String, f64> {
    fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::Object(map) => map
                .into_iter()
                .map(|(name, amount)| match f64::read(amount) {
                    Ok(amount) => Ok((name, amount)),
                    Err(error) => Err(format!("`{name}`: {error}")),
                })
                .collect(),
            other => Err(format!("{other} is not a map of amounts, such as {{\"npu\": 1}}")),
        }
    }

    fn write(&self) -> Value {
        self.iter().map(|(name, amount)| (name.clone(), amount.write())).collect()
    }
}

impl Setting for bool {
    fn read(value: Value) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| format!("{value} is neither `true` nor `false`"))
    }

    fn write(&self) -> Value {
        Value::from(*self)
    }
}

impl Setting for u16 {
    fn read(value: Value) -> Result<Self, String> {
        let port = whole(&value).and_then(|port| Self::try_from(port).ok());
        port.ok_or_else(|| format!("{value} is not a port: give a number from 0 to 65535"))
    }

    fn write(&self) -> Value {
        Value::from(*self)
    }
}

impl Setting for IpAddr {
    fn read(value: Value) -> Result<Self, String> {
        let address = value.as_str().and_then(|text| {
            let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            match bare.unwrap_or(text) {
                "localhost" => Some(Self::V4(Ipv4Addr::LOCALHOST)),
                bare => bare.parse().ok(),
            }
        });
        address.ok_or_else(|| {
            format!("{value} is not an IP address, such as \"127.0.0.1\" or \"0.0.0.0\"")
        })
    }

    fn write(&self) -> Value {
        Value::from(self.to_string())
    }
}

impl Setting for Vec<String> {
    fn read(value: Value) -> Result<Self, String> {
        match value {
            // One text is a list of one.
            Value::String(text) => Ok(vec![text]),
            Value::Array(values) => values.into_iter().map(String::read).collect(),
            other => Err(format!("{other} is not a list of strings")),
        }
    }

    fn write(&self) -> Value {
        self.iter().map(String::as_str).collect()
    }
}

impl Setting for Value {
    fn read(value: Value) -> Result<Self, String> {
        Ok(value)
    }

    fn write(&self) -> Value {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        let size = |value: Value| u64::read(value).ok();
        assert_eq!(size(json!(2_000)), Some(2_000));
        assert_eq!(size(json!(2e9)), Some(2_000_000_000), "as Ray Serve writes them");
        assert_eq!(size(json!("2GiB")), Some(2 << 30));
        assert_eq!(size(json!("500 MB")), Some(500_000_000));
        for nonsense in [json!(-1), json!(1.5), json!("2 gigs"), json!("20000000TiB"), json!([1])] {
            let error = u64::read(nonsense.clone()).expect_err("no size");
            assert!(error.contains("\"2GiB\""), "{nonsense}: {error}");
        }
    }

    #[test]
    fn a_number_without_a_unit_is_no_duration_and_says_what_is() {
        let error = Duration::read(json!(30)).expect_err("no unit");
        assert!(error.contains("\"30s\"") && error.contains("`_s`"), "{error}");
        assert_eq!(seconds(&json!(1.5)), Ok(json!("1s 500ms")));
        assert!(seconds(&json!("30s")).is_err() && seconds(&json!(-1)).is_err());
    }
}
