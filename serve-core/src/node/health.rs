//! [`HealthWatch`]: periodic health checks of a replica.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::hosted_deployment::ReplicaEvent;
use super::replica_starter::check_health;
use crate::call::runtime_context::RuntimeContext;
use crate::deployment::{DeploymentOptions, digest};
use crate::method::Hook;
use crate::replica::Replica;
use crate::time;

/// The number of consecutive failures after which a replica is replaced, the same as in Ray Serve.
const FAILURES: usize = 3;

/// The health checks of one replica. Dropping the value ends the checks.
#[derive(Debug)]
pub(super) struct HealthWatch {
    task: JoinHandle<()>,
    period: Duration,
    patience: Duration,
}

impl HealthWatch {
    /// Starts the checks. Returns `None` if the deployment has no `#[check_health]`, so that an
    /// idle replica costs nothing.
    pub(super) fn start(
        number: u64,
        replica: &Arc<Replica>,
        options: &DeploymentOptions,
        runtime: &RuntimeContext,
        reports: &mpsc::WeakUnboundedSender<ReplicaEvent>,
    ) -> Option<Self> {
        let checks = replica.target.hook(Hook::CheckHealth).is_some();
        if !checks {
            return None;
        }
        let replica = Arc::clone(replica);
        let (period, patience) = (options.health_check_period(), options.health_check_timeout());
        let reports = reports.clone();
        let watch = async move {
            let reason = until_unhealthy(&replica, period, patience).await;
            if let Some(reports) = reports.upgrade() {
                let _ = reports.send(ReplicaEvent::Unfit { number, reason });
            }
        };
        Some(Self { task: runtime.tokio.spawn(watch), period, patience })
    }

    /// True if these options ask for the same checks. Another watch would forget the failures that
    /// this one has counted.
    pub(super) fn fits(&self, options: &DeploymentOptions) -> bool {
        let wanted = (options.health_check_period(), options.health_check_timeout());
        (self.period, self.patience) == wanted
    }
}

impl Drop for HealthWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Checks the replica until three checks in a row have failed. Returns the reason.
async fn until_unhealthy(replica: &Arc<Replica>, period: Duration, patience: Duration) -> String {
    // Seeded by the id, so that the numbers are the same in every run.
    let mut random = SmallRng::seed_from_u64(digest(&[replica.context.replica_id().as_bytes()]));
    let mut failures = 0;
    loop {
        // Up to a tenth more or less, as in Ray Serve, so that replicas are not checked all at
        // once.
        let share = random.random_range(0.9..=1.1);
        sleep(time::within_reach(period).mul_f64(share)).await;
        match check_health(replica, patience).await {
            Ok(()) => failures = 0,
            Err(error) => {
                failures += 1;
                if failures == FAILURES {
                    return format!(
                        "{FAILURES} health checks in a row failed, the last: {error:#}"
                    );
                }
            }
        }
    }
}
