//! Settings from the environment, for places where a command line is hard to change. An option on
//! the command line wins over its variable. An empty variable counts as not set.

use std::env;
use std::ffi::OsString;

use miette::Diagnostic;

use crate::exit_code;
use crate::failure::Failure;
use crate::output;

/// The error of a variable whose value is not valid.
#[derive(Debug, thiserror::Error, Diagnostic, PartialEq, Eq)]
#[error("the environment variable {variable} has the invalid value `{value}`: {problem}")]
#[diagnostic(code(serve::environment), help("set {variable} to a valid value, or unset it"))]
pub(crate) struct BadVariable {
    variable: &'static str,
    value: String,
    problem: String,
}

impl Failure for BadVariable {
    fn exit_code(&self) -> u8 {
        exit_code::USAGE
    }
}

/// A source of environment variables: the process, or a table in tests.
pub(crate) type Variables<'v> = &'v dyn Fn(&str) -> Option<OsString>;

/// Returns the value of a variable of this process.
pub(crate) fn process_variables(name: &str) -> Option<OsString> {
    env::var_os(name)
}

/// Returns the first of the variables that is set, as `parse` reads it.
pub(crate) fn first_set<T>(
    variables: Variables<'_>,
    names: &[&'static str],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, BadVariable> {
    let set = names.iter().find_map(|name| {
        variables(name).filter(|value| !value.is_empty()).map(|value| (*name, value))
    });
    let Some((variable, value)) = set else { return Ok(None) };
    let parsed = match value.to_str() {
        Some(text) => parse(text.trim()),
        None => Err("the value is not UTF-8".to_owned()),
    };
    parsed.map(Some).map_err(|problem| BadVariable {
        variable,
        value: output::name(&value.to_string_lossy()),
        problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(table: &[(&str, &str)]) -> Result<Option<u16>, String> {
        let look_up = |name: &str| {
            let set = table.iter().find(|(known, _)| *known == name);
            set.map(|(_, value)| OsString::from(value))
        };
        first_set(&look_up, &["SERVE_HTTP_PORT", "PORT"], |text| {
            text.parse().map_err(|_| "expected a number".to_owned())
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_variable_that_is_set_counts() {
        assert_eq!(port(&[]), Ok(None));
        assert_eq!(port(&[("PORT", "80")]), Ok(Some(80)));
        assert_eq!(port(&[("PORT", "80"), ("SERVE_HTTP_PORT", "81")]), Ok(Some(81)));
        assert_eq!(port(&[("PORT", "80"), ("SERVE_HTTP_PORT", "")]), Ok(Some(80)));
    }

    #[test]
    fn an_invalid_value_names_its_variable() {
        assert_eq!(
            port(&[("PORT", "eighty\u{202e}")]),
            Err("the environment variable PORT has the invalid value `eighty\\u{202e}`: \
                 expected a number"
                .to_owned())
        );
    }
}
