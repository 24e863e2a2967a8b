//! [`World`]: the runtime under load, and handles of what it runs.

use std::fmt::Write as _;
use std::time::Duration;

use serve_core::prelude::*;
use serve_core::status::{ApplicationStatus, DeploymentStatus, ReplicaState};
use tokio::time::{Instant, sleep};

use crate::deployments::{
    Batcher, BatcherHandle, Counter, CounterHandle, FrontHandle, Models, ModelsHandle, Worker,
    WorkerHandle, ZeroHandle,
};
use crate::gauges;
use crate::measure::Measure;
use crate::operations;

/// After this time, the process has to hold again what it held before.
const SETTLES_IN: Duration = Duration::from_secs(30);

/// What is not known beforehand must be the same so often, one look after the other.
const STEADY: usize = 20;

/// The runtime under load, and handles of what it runs. The handles stay the same throughout.
pub struct World {
    pub runtime: Runtime,
    pub front: FrontHandle,
    pub worker: WorkerHandle,
    pub batcher: BatcherHandle,
    pub counter: CounterHandle,
    pub models: ModelsHandle,
    pub zero: ZeroHandle,
}

/// What the process has to hold, once the load pauses. What is not known must not change for a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    pub tasks: Option<usize>,
    pub descriptors: Option<usize>,
}

impl World {
    pub async fn start(runtime: Runtime) -> Result<Self> {
        let zero = runtime.run(operations::canonical_zero()).await?;
        let front = runtime.run(operations::canonical()).await?;
        let worker = runtime.get_deployment_handle::<Worker>("main", "Worker")?;
        let batcher = runtime.get_deployment_handle::<Batcher>("main", "Batcher")?;
        let counter = runtime.get_deployment_handle::<Counter>("main", "Counter")?;
        let models = runtime.get_deployment_handle::<Models>("main", "Models")?;
        Ok(Self { runtime, front, worker, batcher, counter, models, zero })
    }

    /// Deploys the versions that run whenever the load pauses.
    pub async fn canonical(&self) -> Result<()> {
        self.runtime.run(operations::canonical_zero()).await?;
        self.runtime.run(operations::canonical()).await?;
        Ok(())
    }

    /// Describes what is not as it must be while the load pauses.
    fn unsettled(&self) -> String {
        let mut text = String::new();
        let status = self.runtime.status();
        let names: Vec<_> = status.applications.keys().map(String::as_str).collect();
        if names != ["main", "zero"] {
            let _ = write!(text, "the applications are {names:?}; ");
        }
        for (name, application) in &status.applications {
            if application.status != ApplicationStatus::Running {
                let _ =
                    write!(text, "`{name}` is {:?}: {}; ", application.status, application.message);
            }
            for (name, it) in &application.deployments {
                let running = it.replicas.iter().filter(|it| it.state == ReplicaState::Running);
                let (running, all) = (running.count(), it.replicas.len());
                let wanted = match &**name {
                    "Zero" => 0,
                    "Counter" => 1,
                    _ => 2,
                };
                if (it.ongoing, it.queued) != (0, 0) {
                    let _ =
                        write!(text, "`{name}` has {} ongoing, {} queued; ", it.ongoing, it.queued);
                }
                if it.status != DeploymentStatus::Healthy || (running, all) != (wanted, wanted) {
                    let _ = write!(
                        text,
                        "`{name}` is {:?} ({}) with {running} of {all} running, not {wanted}; ",
                        it.status, it.message
                    );
                }
                let alive = gauges::alive(name);
                if alive != wanted as u64 {
                    let _ = write!(text, "{alive} instances of `{name}` live, not {wanted}; ");
                }
            }
        }
        text
    }

    /// Waits until all is as it must be while the load pauses. Returns what is not, after a time.
    pub async fn settle(&self, wanted: Wanted) -> Result<Measure, String> {
        settle(wanted, || self.unsettled()).await
    }
}

/// Waits until the process holds what it has to hold, and `unsettled` describes nothing. Returns
/// what is not as it must be, after a time.
pub async fn settle(wanted: Wanted, unsettled: impl Fn() -> String) -> Result<Measure, String> {
    let began = Instant::now();
    let mut steady = (Measure::now(), 0);
    loop {
        let (mut text, measure) = (unsettled(), Measure::now());
        let (entries, exits) = gauges::entries_and_exits();
        if entries != exits {
            let _ = write!(text, "{} methods are inside; ", entries - exits);
        }
        if wanted.tasks.is_some_and(|tasks| tasks != measure.tasks) {
            let _ = write!(text, "{} tasks, not {:?}; ", measure.tasks, wanted.tasks);
        }
        if wanted.descriptors.is_some() && wanted.descriptors != measure.descriptors {
            let (now, before) = (measure.descriptors, wanted.descriptors);
            let _ = write!(text, "{now:?} descriptors, not {before:?}; ");
        }
        let same = (steady.0.tasks, steady.0.descriptors) == (measure.tasks, measure.descriptors);
        steady = (measure, if same && text.is_empty() { steady.1 + 1 } else { 0 });
        if steady.1 > 0 && (wanted.tasks.is_some() || steady.1 > STEADY) {
            return Ok(measure);
        }
        if began.elapsed() > SETTLES_IN {
            return Err(text);
        }
        sleep(Duration::from_millis(50)).await;
    }
}
