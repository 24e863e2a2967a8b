//! [`HostedDeployment`]: a deployment on the node, as other files see the loop that drives it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::controller::Assignment;
use crate::replica::AnyDeployment;
use crate::router::Router;

/// A deployment on the node. Dropping the value ends the deployment's loop and its running calls.
pub(super) struct HostedDeployment {
    pub(super) deployment_type: Arc<dyn AnyDeployment>,
    pub(super) router: Arc<Router>,
    /// The assignments, each with its number.
    pub(super) assignment: watch::Sender<(u64, Arc<Assignment>)>,
    /// The number of the last assignment that the loop has applied.
    pub(super) applied: watch::Receiver<u64>,
    pub(super) events: mpsc::UnboundedSender<ReplicaEvent>,
    pub(super) grace: Duration,
}

/// An event of a running replica.
#[derive(Debug)]
pub(super) enum ReplicaEvent {
    /// The replica with this id is gone together with its calls.
    Killed { id: Arc<str> },
    /// A replica is unfit: it must stop and be replaced.
    Unfit { number: u64, reason: String },
    /// A replica must be replaced, and may serve until then.
    Worn { number: u64, reason: String },
}
