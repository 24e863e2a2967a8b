//! [`GraphError`]: the faults of a graph that is refused.

use thiserror::Error;

use crate::deployment::{OptionFault, OptionsError};

/// The error of a graph that cannot be deployed. Nothing was changed.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum GraphError {
    /// The application's name is empty or contains `#`.
    #[error("the application's name is {0:?}: give a name that is not empty and has no `#`")]
    ApplicationName(String),
    /// The route prefix does not start with `/`, ends with a slash although it is not `/` itself,
    /// or contains `{`, `}`, `?` or `#`.
    #[error(
        "the route prefix {0:?} must start with `/`, must not end with `/` (except for `/` itself), \
         and must not contain `{{`, `}}`, `?` or `#`"
    )]
    RoutePrefix(String),
    /// Two deployments have the same name.
    #[error(
        "two deployments of application `{application}` are named `{name}`; rename one with `.name(..)`"
    )]
    DuplicateName {
        /// The application.
        application: String,
        /// The name.
        name: String,
    },
    /// An option is invalid.
    #[error("deployment `{deployment}`: {error}")]
    Options {
        /// The deployment.
        deployment: String,
        /// The invalid option. Not a source of the error, because the message contains it.
        error: OptionsError,
    },
    /// The user config does not fit the deployment.
    #[error("deployment `{deployment}`: {reason}")]
    UserConfig {
        /// The deployment.
        deployment: String,
        /// The reason why the user config does not fit.
        reason: String,
    },
    /// A configuration has options for a deployment that the application does not have.
    #[error(
        "application `{application}` has no deployment `{deployment}`{}; its deployments are {}",
        nearest(.deployment, .deployments),
        in_words(.deployments)
    )]
    UnknownDeployment {
        /// The application.
        application: String,
        /// The name that the configuration has.
        deployment: String,
        /// The names of the application's deployments.
        deployments: Vec<String>,
    },
    /// A deployment autoscales although its number of replicas may be set from outside.
    #[error(
        "deployment `{deployment}` autoscales, but its application has `external_scaler_enabled`: \
         remove one of them, because two scalers would undo each other's changes"
    )]
    ScaledTwice {
        /// The deployment.
        deployment: String,
    },
    /// Options of HTTP are invalid.
    #[error("the HTTP options are invalid: {}", OptionFault::in_all(.0))]
    HttpOptions(Vec<OptionFault>),
}

/// Returns `: did you mean ...?` if one of the names is close to `name`.
fn nearest(name: &str, names: &[String]) -> String {
    let distance = |known: &&String| strsim::damerau_levenshtein(known, name);
    match names.iter().min_by_key(distance) {
        Some(near) if distance(&near) <= near.len() / 3 => format!(" (did you mean `{near}`?)"),
        _ => String::new(),
    }
}

fn in_words(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
