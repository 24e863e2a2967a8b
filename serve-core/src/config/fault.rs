//! [`ConfigFault`]: a fault of a config file, with its place and its remedy; [`ConfigNote`]: a
//! remark about a key that is accepted and has no effect.

use std::error::Error;
use std::fmt;
use std::slice;

use serde::Serialize;

use super::node::Place;

/// The longest message, in bytes. Messages repeat values of the file, which can be of any length.
const LONGEST: usize = 600;

/// The most faults that are reported of one configuration.
const MOST: usize = 200;

/// A fault of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigFault {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "String::is_empty")]
    path: String,
    message: String,
}

impl ConfigFault {
    pub(super) fn new(file: &str, place: Place, path: &str, message: &str) -> Self {
        let (line, column) = place.line_and_column().unzip();
        Self {
            file: file.to_owned(),
            line,
            column,
            path: printable(path),
            message: printable(message),
        }
    }

    /// Returns the name of the file, as it was given to the parser.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns the line, from 1; `None` if the configuration was not read from text.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// Returns the column in characters, from 1; `None` if the configuration was not read from text.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        self.column
    }

    /// Returns the keys that lead to the fault, such as `applications[0].name`; empty for a fault of
    /// the whole file.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the description of the fault, with what was expected and the remedy.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ConfigFault {
    /// Writes one line: `serve.yaml:12:5: applications[0].name: is empty: give the application a name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Error for ConfigFault {}

/// All faults of a configuration, in the order of their places. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ConfigFaults(Vec<ConfigFault>);

impl ConfigFaults {
    pub(super) fn new(mut faults: Vec<ConfigFault>) -> Self {
        faults.sort_by_key(|fault| (fault.line, fault.column));
        faults.dedup();
        // An alias repeats the faults of what it stands for.
        if let Some(more) = faults.len().checked_sub(MOST).filter(|more| *more > 0) {
            faults.truncate(MOST);
            if let Some(last) = faults.last().cloned() {
                let message = format!("and {more} more faults");
                faults.push(ConfigFault { path: String::new(), message, ..last });
            }
        }
        Self(faults)
    }

    /// Returns `None` if there are no faults.
    #[doc(hidden)]
    #[must_use]
    pub fn of_all(faults: Vec<ConfigFault>) -> Option<Self> {
        (!faults.is_empty()).then(|| Self::new(faults))
    }

    pub(super) fn of(fault: ConfigFault) -> Self {
        Self(vec![fault])
    }

    /// Returns the faults, in the order of their places.
    pub fn iter(&self) -> slice::Iter<'_, ConfigFault> {
        self.0.iter()
    }

    /// Returns the number of faults, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for ConfigFaults {
    /// Writes one line for each fault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl Error for ConfigFaults {}

impl IntoIterator for ConfigFaults {
    type Item = ConfigFault;
    type IntoIter = std::vec::IntoIter<ConfigFault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a ConfigFaults {
    type Item = &'a ConfigFault;
    type IntoIter = slice::Iter<'a, ConfigFault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// A remark about a key of Ray Serve's that was accepted and has no effect here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigNote {
    pub(super) path: String,
    pub(super) message: String,
}

impl ConfigNote {
    /// Returns the keys that lead to the key, such as `applications[0].runtime_env`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the reason why the key has no effect.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ConfigNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Returns the text as one line of limited length, without control characters.
fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(LONGEST));
    for character in text.chars() {
        if line.len() >= LONGEST {
            line.push('…');
            break;
        }
        let unsafe_to_print = character.is_control()
            || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if unsafe_to_print {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}
