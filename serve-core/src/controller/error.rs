//! [`DeployError`]: the reasons why an application does not run.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::shortage::Shortage;
#[cfg(feature = "http")]
use crate::application::EndpointError;
use crate::application::GraphError;
use crate::error::Error;

/// The error of a failed deploy, or of a lookup of an application or deployment.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The graph is invalid. Nothing was changed.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The route prefix belongs to another application. Nothing was changed.
    #[error(
        "route prefix `{prefix}` of application `{application}` is taken by application `{taken_by}`; \
         give it another with `.route_prefix(..)`"
    )]
    RouteTaken {
        /// The application that was to be deployed.
        application: String,
        /// The prefix that both applications claim.
        prefix: String,
        /// The application that already has the prefix.
        taken_by: String,
    },
    /// HTTP endpoints of the application conflict with each other. Nothing was changed.
    #[cfg(feature = "http")]
    #[error("application `{application}`: {error}")]
    Endpoint {
        /// The application.
        application: String,
        /// The endpoints in conflict, and the reason.
        error: EndpointError,
    },
    /// The request router of a deployment could not be created. Nothing was changed.
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
        /// The message of the panic.
        panic: String,
    },
    /// A deployment can never have enough room, even if everything else stops: the node has less in
    /// total than the deployment's replicas reserve. Nothing was changed.
    #[error(
        "application `{application}`: deployment `{deployment}` can never fit: {shortage}; {}",
        .shortage.remedy()
    )]
    NeverFits {
        /// The application.
        application: String,
        /// The deployment.
        deployment: String,
        /// The resource that is too scarce.
        shortage: Shortage,
    },
    /// Replicas did not start: their constructor, `#[reconfigure]` or first `#[check_health]`
    /// failed too often. The previous version keeps running.
    #[error("application `{application}`: a replica of `{deployment}` did not start: {error:#}")]
    Constructor {
        /// The application.
        application: String,
        /// The deployment.
        deployment: String,
        /// The error that the last replica returned, or its panic.
        error: Error,
    },
    /// Running replicas refuse the user config: their `#[reconfigure]` failed. The previous config
    /// stays in effect.
    #[error("application `{application}`: `{deployment}` refuses its user config: {error:#}")]
    UserConfig {
        /// The application.
        application: String,
        /// The deployment.
        deployment: String,
        /// The error that `#[reconfigure]` returned, or its panic.
        error: Error,
    },
    /// The application was deleted while it was being deployed.
    #[error("application `{0}` was deleted while it was being deployed")]
    Deleted(String),
    /// Another version of the application was deployed before this version ran, and the other
    /// version has another type or does not run either.
    #[error("another version of application `{0}` was deployed before this one ran")]
    Superseded(String),
    /// There is no application with this name.
    #[error("no application is named `{0}`")]
    UnknownApplication(String),
    /// There is no deployment with this name.
    #[error("application `{application}` has no deployment `{deployment}`")]
    UnknownDeployment {
        /// The application.
        application: String,
        /// The deployment.
        deployment: String,
    },
    /// The deployment has another type than the caller expected.
    #[error(
        "deployment `{deployment}` of application `{application}` is a `{actual}`, not a `{expected}`"
    )]
    WrongType {
        /// The application.
        application: String,
        /// The deployment.
        deployment: String,
        /// The type of the deployment.
        actual: &'static str,
        /// The type that the caller expected.
        expected: &'static str,
    },
    /// The runtime is shut down or shutting down.
    #[error("the runtime is shut down")]
    ShutDown,
}

/// The error of a change of the desired state that was refused. Nothing was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// Applications are refused, for these reasons.
    #[error("{}", in_lines(.0))]
    Refused(Vec<DeployError>),
    /// Something else was changed since the revision on which the change is based.
    #[error(
        "the change is based on revision {expected}, but the current revision is {current}: look at \
         what has changed, and try again"
    )]
    RevisionConflict {
        /// The revision on which the change is based.
        expected: u64,
        /// The current revision.
        current: u64,
    },
    /// The application does not allow its number of replicas to be set from outside.
    #[error(
        "application `{0}` does not allow its replicas to be set: give it \
         `external_scaler_enabled: true`, or deploy it with another `num_replicas`"
    )]
    ExternalScalerDisabled(String),
    /// The application is being deleted.
    #[error("application `{0}` is being deleted")]
    Deleting(String),
    /// The runtime is shut down or shutting down.
    #[error("the runtime is shut down")]
    ShutDown,
}

fn in_lines(errors: &[DeployError]) -> String {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    errors.join("\n")
}

/// The reason why a deploy failed, as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum DeployFailure {
    RouteTaken { prefix: String, taken_by: String },
    Constructor { deployment: String, error: Error },
    UserConfig { deployment: String, error: Error },
    Deleted,
    ShutDown,
}

impl DeployFailure {
    /// Converts the failure into the error of a deploy of this application.
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
