//! `key=value`, a value for one field or parameter. The text is parsed later, by the type of the
//! field or parameter.

use std::fmt;
use std::str::FromStr;

/// One `key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// The error of a word that is not a `key=value`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAnAssignment {
    #[error("expected KEY=VALUE, as in `name={0}`")]
    NoEquals(String),
    #[error("there is no key before the `=`")]
    NoKey,
}

impl FromStr for Assignment {
    type Err = NotAnAssignment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some(("", _)) => Err(NotAnAssignment::NoKey),
            Some((key, value)) => Ok(Self { key: key.to_owned(), value: value.to_owned() }),
            None => Err(NotAnAssignment::NoEquals(text.to_owned())),
        }
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

/// Returns the first key that is given twice.
pub(crate) fn repeated(assignments: &[Assignment]) -> Option<&str> {
    assignments.iter().enumerate().find_map(|(index, assignment)| {
        let earlier = assignments.iter().take(index);
        earlier.map(|earlier| earlier.key.as_str()).find(|key| *key == assignment.key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_equals_sign_separates() {
        let assignment: Assignment = "expression=a=b".parse().expect("an assignment");
        assert_eq!(assignment, Assignment { key: "expression".into(), value: "a=b".into() });
        assert_eq!(assignment.to_string(), "expression=a=b");
    }

    #[test]
    fn a_value_may_be_empty_but_a_key_may_not() {
        assert_eq!("name=".parse::<Assignment>().expect("an assignment").value, "");
        assert!("=Dora".parse::<Assignment>().is_err());
        assert!("Dora".parse::<Assignment>().is_err());
    }

    #[test]
    fn a_key_given_twice_is_found() {
        let given = ["a=1", "b=2", "a=3"].map(|text| text.parse().expect("an assignment"));
        assert_eq!(repeated(&given), Some("a"));
        assert_eq!(repeated(&given[..2]), None);
    }
}
