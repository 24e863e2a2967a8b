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
    /// Options of HTTP are invalid.
    #[error("the HTTP options are invalid: {}", OptionFault::in_all(.0))]
    HttpOptions(Vec<OptionFault>),
}
