//! [`DeployError`]: why an application does not run.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::decide::Shortage;
#[cfg(feature = "http")]
use crate::application::EndpointError;
use crate::application::GraphError;
use crate::error::Error;

/// Why an application was not deployed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The graph itself makes no sense. Nothing was changed.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Another application has the route prefix. Nothing was changed.
    #[error(
        "route prefix `{prefix}` of application `{application}` is taken by application `{taken_by}`; \
         give it another with `.route_prefix(..)`"
    )]
    RouteTaken {
        /// The application that was to be deployed.
        application: String,
        /// The prefix that both want.
        prefix: String,
        /// The application that has it.
        taken_by: String,
    },
    /// Its HTTP endpoints get in each other's way. Nothing was changed.
    #[cfg(feature = "http")]
    #[error("application `{application}`: {error}")]
    Endpoint {
        /// The application.
        application: String,
        /// Which, and why.
        error: EndpointError,
    },
    /// The request router of a deployment could not be made. Nothing was changed.
    #[error(
        "application `{application}`: the request router `{router}` of `{deployment}` panicked in \
         its `Default`: {panic}"
    )]
    RequestRouter {
        /// The application.
        application: String,
        /// The deployment.
        deployment: String,
        /// The router's type.
        router: &'static str,
        /// What the panic said.
        panic: String,
    },
    /// A deployment can never have room, whatever else stops: the node has less in all than the
    /// deployment's replicas reserve. Nothing was changed.
    #[error(
        "application `{application}`: deployment `{deployment}` can never have room: {shortage}; {}",
        .shortage.remedy()
    )]
    NeverFits {
        /// The application.
        application: String,
        /// The deployment.
        deployment: String,
        /// The resource of which there is too little.
        shortage: Shortage,
    },
    /// Replicas did not start: their constructor, `#[reconfigure]` or first
    /// `#[check_health]` failed too often. What ran before goes on.
    #[error("application `{application}`: a replica of `{deployment}` did not start: {error:#}")]
    Constructor {
        /// The application.
        application: String,
        /// The deployment.
        deployment: String,
        /// What the last one said, or its panic.
        error: Error,
    },
    /// Replicas that run do not take the user config: their `#[reconfigure]` failed. The
    /// config from before goes on.
    #[error("application `{application}`: `{deployment}` refuses its user config: {error:#}")]
    UserConfig {
        /// The application.
        application: String,
        /// The deployment.
        deployment: String,
        /// What `#[reconfigure]` said, or its panic.
        error: Error,
    },
    /// It was deleted while it was being deployed.
    #[error("application `{0}` was deleted while it was being deployed")]
    Deleted(String),
    /// Another version of it was deployed while this one did not run yet, and it is not
    /// of the same type, or does not run either.
    #[error("another version of application `{0}` was deployed before this one ran")]
    Superseded(String),
    /// No application of that name.
    #[error("no application is named `{0}`")]
    UnknownApplication(String),
    /// No deployment of that name.
    #[error("application `{application}` has no deployment `{deployment}`")]
    UnknownDeployment {
        /// The application.
        application: String,
        /// The deployment.
        deployment: String,
    },
    /// The deployment is of another type than was asked for.
    #[error(
        "deployment `{deployment}` of application `{application}` is a `{actual}`, not a `{expected}`"
    )]
    WrongType {
        /// The application.
        application: String,
        /// The deployment.
        deployment: String,
        /// Its type.
        actual: &'static str,
        /// The type that was asked for.
        expected: &'static str,
    },
    /// The runtime is shut down, or about to be.
    #[error("the runtime is shut down")]
    ShutDown,
}

/// Why a deploy failed, as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum DeployFailure {
    RouteTaken { prefix: String, taken_by: String },
    Constructor { deployment: String, error: Error },
    UserConfig { deployment: String, error: Error },
    Deleted,
    ShutDown,
}

impl DeployFailure {
    /// The error of a deploy of this application.
    pub(crate) fn into_error(self, application: &str) -> DeployError {
        let application = application.to_owned();
        match self {
            Self::RouteTaken { prefix, taken_by } => {
                DeployError::RouteTaken { application, prefix, taken_by }
            }
            Self::Constructor { deployment, error } => {
                DeployError::Constructor { application, deployment, error }
            }
            Self::UserConfig { deployment, error } => {
                DeployError::UserConfig { application, deployment, error }
            }
            Self::Deleted => DeployError::Deleted(application),
            Self::ShutDown => DeployError::ShutDown,
        }
    }
}
