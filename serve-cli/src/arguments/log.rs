//! The log filter, from the command line or the environment.

use clap::Args;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

use super::environment::{BadVariable, Variables, first_set};

/// The choice of what is logged.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct LogArguments {
    /// The log filter, for example `warn` or `info,hyper=debug` [env: SERVE_LOG or RUST_LOG]
    #[arg(long, value_name = "FILTER", value_parser = filter_text)]
    pub(crate) log: Option<String>,
}

impl LogArguments {
    /// Returns the filter: from the option, else from `variables`, else `level` and above.
    pub(crate) fn filter(
        &self,
        level: LevelFilter,
        variables: Variables<'_>,
    ) -> Result<EnvFilter, BadVariable> {
        self.filter_or(None, level, variables)
    }

    /// Returns the filter: from the option, else from `variables`, else from a configuration, else
    /// `level` and above.
    pub(crate) fn filter_or(
        &self,
        of_file: Option<&str>,
        level: LevelFilter,
        variables: Variables<'_>,
    ) -> Result<EnvFilter, BadVariable> {
        let text = match &self.log {
            Some(text) => Some(text.clone()),
            None => first_set(variables, &["SERVE_LOG"], filter_text)?,
        };
        let builder = EnvFilter::builder().with_default_directive(level.into());
        Ok(match text {
            Some(text) => builder.parse_lossy(text),
            None if of_file.is_some() => builder.parse_lossy(of_file.unwrap_or_default()),
            // Shared with other programs, which may understand more.
            None => builder.from_env_lossy(),
        })
    }
}

fn filter_text(text: &str) -> Result<String, String> {
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}; expected a filter, as in `info,hyper=debug`")),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn the_option_wins_over_the_variable() {
        let variables = |name: &str| (name == "SERVE_LOG").then(|| OsString::from("debug"));
        let filter = |log: Option<&str>| {
            let arguments = LogArguments { log: log.map(str::to_owned) };
            arguments.filter(LevelFilter::INFO, &variables).expect("a filter").to_string()
        };
        assert_eq!(filter(None), "debug");
        assert_eq!(filter(Some("warn")), "warn");
    }

    #[test]
    fn an_invalid_filter_says_what_is_expected() {
        let error = filter_text("hyper=loud").expect_err("no filter");
        assert!(error.ends_with("expected a filter, as in `info,hyper=debug`"), "{error}");
    }
}
