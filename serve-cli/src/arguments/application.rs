//! `[PACKAGE:]APP`, the name of an application on the command line.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use super::{Assignment, assignment::NotAnAssignment};

/// An application and the values for its argument.
#[derive(Debug, Clone, Args)]
pub(crate) struct ApplicationArguments {
    /// The application; without PACKAGE, an application of the package in this directory. Not
    /// needed if the package has only one. `run` also takes a configuration, such as serve.yaml
    #[arg(value_name = "[PACKAGE:]APP")]
    first: Option<PathOrValue>,

    /// Values for the application's argument
    #[arg(value_name = "KEY=VALUE")]
    rest: Vec<Assignment>,
}

/// The first word: an application, or a value if the application is left out.
#[derive(Debug, Clone)]
enum PathOrValue {
    File(PathBuf),
    Path(ApplicationPath),
    Value(Assignment),
}

/// The error of a word that is neither an application nor a value.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum NeitherPathNorValue {
    Path(#[from] NotAnApplicationPath),
    Value(#[from] NotAnAssignment),
}

impl FromStr for PathOrValue {
    type Err = NeitherPathNorValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_file(text) {
            Ok(Self::File(text.into()))
        } else if text.contains('=') {
            Ok(Self::Value(text.parse()?))
        } else {
            Ok(Self::Path(text.parse()?))
        }
    }
}

impl ApplicationArguments {
    /// Returns the application, unless it was left out.
    pub(crate) fn path(&self) -> Option<&ApplicationPath> {
        match &self.first {
            Some(PathOrValue::Path(path)) => Some(path),
            _ => None,
        }
    }

    /// Returns the configuration that is named instead of an application.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.first {
            Some(PathOrValue::File(file)) => Some(file),
            _ => None,
        }
    }

    /// Returns the values for the application's argument.
    pub(crate) fn values(&self) -> Vec<Assignment> {
        let first = match &self.first {
            Some(PathOrValue::Value(value)) => Some(value),
            _ => None,
        };
        first.into_iter().chain(&self.rest).cloned().collect()
    }
}

/// The name of an application, with its package if the package is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApplicationPath {
    pub(crate) package: Option<String>,
    pub(crate) application: String,
}

/// The error of a word that does not name an application.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum NotAnApplicationPath {
    #[error(
        "a configuration is no application: only `run` takes one; name an application, as in `hello:language_classifier`"
    )]
    ConfigFile,
    #[error(
        "there is no application after the colon: name one of `{package}`, as in `{package}:app`"
    )]
    NoApplication { package: String },
    #[error("expected APP or PACKAGE:APP, as in `hello:language_classifier`")]
    Malformed,
    #[error(
        "write an application as its package and the name of its function, without modules: `{suggestion}`"
    )]
    RustPath { suggestion: String },
}

impl FromStr for ApplicationPath {
    type Err = NotAnApplicationPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_file(text) {
            return Err(NotAnApplicationPath::ConfigFile);
        }
        if let Some((path, function)) = text.rsplit_once("::") {
            let package = path.split("::").next().unwrap_or(path);
            return Err(NotAnApplicationPath::RustPath {
                suggestion: format!("{package}:{function}"),
            });
        }
        let (package, application) = match text.split_once(':') {
            Some((package, application)) => (Some(package), application),
            None => (None, text),
        };
        match (package, application) {
            (Some(package), "") if !package.is_empty() => {
                Err(NotAnApplicationPath::NoApplication { package: package.to_owned() })
            }
            (Some(""), _) | (_, "") => Err(NotAnApplicationPath::Malformed),
            (_, name) if name.contains([':', '=', '/']) => Err(NotAnApplicationPath::Malformed),
            _ => Ok(Self {
                package: package.map(str::to_owned),
                application: application.to_owned(),
            }),
        }
    }
}

/// Returns `true` if a word names a configuration: no function has such an ending.
pub(crate) fn is_file(text: &str) -> bool {
    let ending = Path::new(text).extension();
    ending.is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known))
        && !text.contains('=')
}

impl fmt::Display for ApplicationPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(package) = &self.package {
            write!(f, "{package}:")?;
        }
        f.write_str(&self.application)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<ApplicationPath, NotAnApplicationPath> {
        text.parse()
    }

    #[test]
    fn the_package_may_be_left_out() {
        let named = path("hello:language_classifier").expect("a path");
        assert_eq!(named.package.as_deref(), Some("hello"));
        assert_eq!(named.application, "language_classifier");
        assert_eq!(named.to_string(), "hello:language_classifier");
        assert_eq!(path("language_classifier").expect("a path").package, None);
    }

    #[test]
    fn a_config_file_is_refused_by_its_ending() {
        assert_eq!(path("serve.yaml"), Err(NotAnApplicationPath::ConfigFile));
        assert_eq!(path("deploy/serve.yml"), Err(NotAnApplicationPath::ConfigFile));
    }

    #[test]
    fn a_rust_path_says_how_it_is_written_here() {
        let error = path("hello::apps::language_classifier").expect_err("not a path");
        assert!(error.to_string().ends_with("`hello:language_classifier`"), "{error}");
    }

    #[test]
    fn halves_are_refused() {
        assert_eq!(
            path("hello:"),
            Err(NotAnApplicationPath::NoApplication { package: "hello".into() })
        );
        assert_eq!(path(":app"), Err(NotAnApplicationPath::Malformed));
        assert_eq!(path(""), Err(NotAnApplicationPath::Malformed));
        assert_eq!(path("language=german"), Err(NotAnApplicationPath::Malformed));
    }
}
