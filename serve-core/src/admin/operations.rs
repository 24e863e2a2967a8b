//! [`Operations`]: what the admin port asks of a running instance, and what it is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

use crate::controller::{ApplicationOverview, DeployEffect};

/// A running instance, as the admin port uses it.
///
/// Each change is all or nothing: after an error, nothing was changed. `by` names the person or
/// program that makes a change, and `expected` is the revision that the change is based on, if it is
/// to be refused for any other.
pub(crate) trait Operations: Send + Sync + 'static {
    /// Returns everything that is known of the instance.
    fn instance(&self) -> Instance;

    /// Returns the configuration in effect.
    fn config(&self) -> ConfigView;

    /// Returns the last changes, the oldest first.
    fn history(&self) -> Vec<ChangeView>;

    /// Replaces the configuration by one that is given as JSON. Returns the revision.
    fn put(
        &self,
        body: Bytes,
        by: String,
        expected: Option<u64>,
    ) -> BoxFuture<'_, Result<u64, Refusal>>;

    /// Returns the effects that [`put`](Self::put) would have.
    fn diff(&self, body: Bytes) -> BoxFuture<'_, Result<Vec<Effect>, Refusal>>;

    /// Applies an earlier configuration again: that of a revision, or else the one before the
    /// current one. Returns the new revision.
    fn rollback(
        &self,
        to: Option<u64>,
        by: String,
        expected: Option<u64>,
    ) -> BoxFuture<'_, Result<u64, Refusal>>;

    /// Sets the number of replicas of a deployment. Returns the revision.
    fn scale(
        &self,
        application: String,
        deployment: String,
        replicas: usize,
        by: String,
        expected: Option<u64>,
    ) -> BoxFuture<'_, Result<u64, Refusal>>;

    /// Deletes an application, or all of them. Returns once they are gone.
    fn delete(&self, application: Option<String>, by: String)
    -> BoxFuture<'_, Result<(), Refusal>>;

    /// Asks the program to shut down.
    fn shut_down(&self, by: String);
}

/// Everything that is known of an instance.
#[derive(Debug)]
pub(crate) struct Instance {
    /// The id of this node.
    pub(crate) node_id: String,
    /// The address of the HTTP port, if it is open.
    pub(crate) http: Option<SocketAddr>,
    pub(crate) applications: BTreeMap<String, ApplicationOverview>,
    pub(crate) target_capacity: Option<f64>,
    /// The revision of the desired state.
    pub(crate) revision: u64,
}

/// The configuration in effect.
#[derive(Debug, Serialize)]
pub(crate) struct ConfigView {
    pub(crate) revision: u64,
    /// The configuration without its secrets, as data and as a `serve.yaml`.
    pub(crate) config: Value,
    pub(crate) yaml: String,
}

/// A change of the desired state.
#[derive(Debug, Serialize)]
pub(crate) struct ChangeView {
    pub(crate) revision: u64,
    /// The time, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    pub(crate) by: String,
    pub(crate) what: String,
    /// True if the change is a configuration that `rollback` can apply again.
    pub(crate) is_configuration: bool,
}

/// An effect that a configuration would have.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Effect {
    pub(crate) application: String,
    /// The deployment, or `None` for the whole application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deployment: Option<String>,
    pub(crate) effect: DeployEffect,
    /// The changes that lead to the effect, as sentences.
    pub(crate) changes: Vec<String>,
}

/// The reason why an operation was refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The kind of the reason, for programs.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The faults of a configuration, each with its place.
    pub(crate) faults: Vec<Fault>,
}

/// A fault of a configuration.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Fault {
    pub(crate) message: String,
    /// The keys that lead to the fault, such as `applications[0].name`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<usize>,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), faults: Vec::new() }
    }
}
