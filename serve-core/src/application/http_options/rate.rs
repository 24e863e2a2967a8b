//! [`Rate`]: a number of events in a period.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use crate::deployment::setting::Setting;

/// A number of events in a period, which is written `100/s`, `1000/min` or `5000/h`.
///
/// ```
/// use serve_core::http::Rate;
///
/// assert_eq!("1000/min".parse(), Ok(Rate::per_minute(1000)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

impl Rate {
    /// Creates a rate of `count` events a second.
    #[must_use]
    pub const fn per_second(count: u32) -> Self {
        Self { count, unit: Unit::Second }
    }

    /// Creates a rate of `count` events a minute.
    #[must_use]
    pub const fn per_minute(count: u32) -> Self {
        Self { count, unit: Unit::Minute }
    }

    /// Creates a rate of `count` events an hour.
    #[must_use]
    pub const fn per_hour(count: u32) -> Self {
        Self { count, unit: Unit::Hour }
    }

    /// Returns the number of events.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// Returns the period: a second, a minute, or an hour.
    #[must_use]
    pub const fn period(self) -> Duration {
        match self.unit {
            Unit::Second => Duration::from_secs(1),
            Unit::Minute => Duration::from_secs(60),
            Unit::Hour => Duration::from_secs(3600),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Second => "s",
            Unit::Minute => "min",
            Unit::Hour => "h",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// The error of a text that is not a [`Rate`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a rate such as \"100/s\", \"1000/min\" or \"5000/h\"")]
pub struct ParseRateError(String);

impl FromStr for Rate {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, ParseRateError> {
        let fault = || ParseRateError(text.to_owned());
        let (count, unit) = text.split_once('/').ok_or_else(fault)?;
        let count = count.trim().parse().ok().filter(|count| *count > 0).ok_or_else(fault)?;
        let unit = match unit.trim() {
            "s" | "sec" | "second" => Unit::Second,
            "min" | "m" | "minute" => Unit::Minute,
            "h" | "hour" => Unit::Hour,
            _ => return Err(fault()),
        };
        Ok(Self { count, unit })
    }
}

impl Setting for Rate {
    fn read(value: Value) -> Result<Self, String> {
        String::read(value)?.parse().map_err(|error: ParseRateError| error.to_string())
    }

    fn write(&self) -> Value {
        Value::from(self.to_string())
    }
}
