//! Tests of the controller's state without its loop, with a node that consists of a few lines in
//! this file.
#![allow(unreachable_pub, reason = "a handle has the public methods, and a test no public face")]

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Serialize;

use super::assignment::{DeploymentReport, ReplicaReport, deployment_report, replica_report};
use super::autoscaler::Loads;
use super::spec::DeploymentId;
use super::state::ControllerState;
use super::status::ReplicaState;
use super::store::{Change, Entry, StoreRevision};
use crate::application::{AnyApplication, Blueprints, Outline, Plan};
use crate::deployment::Aggregation;
use crate::prelude::*;
use crate::router::Load;
use crate::time::{Moment, WallClock};

#[deployment]
#[derive(Default)]
struct Model;

#[handle]
impl Model {
    pub async fn call(&self) {}
}

/// Loads under which no deployment autoscales.
#[derive(Debug)]
struct NoLoads;

impl Loads for NoLoads {
    fn load(&self, _: DeploymentId, _: Aggregation) -> Option<Load> {
        None
    }

    fn watch(&self, _: DeploymentId, _: &Load) {}

    fn changed(&self) -> BoxFuture<'_, Vec<DeploymentId>> {
        Box::pin(std::future::pending())
    }
}

fn change(key: String, value: &impl Serialize) -> Change {
    let value = serde_json::to_vec(value).expect("plain data").into();
    (key, Some(Entry { value, revision: StoreRevision(1) }))
}

struct World {
    state: ControllerState,
    blueprints: Arc<Blueprints>,
    now: Moment,
}

impl World {
    fn new() -> Self {
        let blueprints = Arc::<Blueprints>::default();
        let state = ControllerState::new(Arc::clone(&blueprints), None);
        Self { state, blueprints, now: WallClock::of_a_test().now() }
    }

    fn deploy(&mut self, build_id: &str) {
        let application = AnyApplication::from(Application::new(Model::bind().num_replicas(2)));
        let plan = Plan::of(&application, |_| false).expect("a plan");
        let (blueprint, plan) = self.blueprints.add(plan);
        let outline = Outline::of(blueprint, build_id, &plan);
        self.state.ask("default", false, outline, self.now).expect("it is not refused");
        self.settle();
    }

    /// Advances the state and plays the node, until there is nothing left to do.
    fn settle(&mut self) {
        for _ in 0..20 {
            while self.state.advance(self.state.weigh_loads(&NoLoads, self.now), self.now) {}
            let mut reports = Vec::new();
            for (id, deployment) in &self.state.deployments {
                let serial = deployment.spec().serial;
                let report = DeploymentReport { serial, ..DeploymentReport::default() };
                reports.push(change(deployment_report(*id), &report));
                for member in deployment.members() {
                    let config_version = member.replica.config_version;
                    let running = ReplicaReport::running(config_version);
                    let stops = member.phase.shown() == ReplicaState::Stopping;
                    let report = if stops { ReplicaReport::Stopped } else { running };
                    reports.push(change(replica_report(*id, member.number), &report));
                }
            }
            self.state.report(reports, self.now);
        }
    }

    /// Returns the ids of the replicas, which all run.
    fn replicas(&self) -> Vec<String> {
        let deployment = self.state.deployments.values().next().expect("it runs");
        assert_eq!(deployment.outcome(), Some(Ok(())));
        deployment.members().map(|member| member.replica.id.to_string()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_compares_the_builds_beside_the_contents() {
    let mut world = World::new();
    world.deploy("a");
    let first = world.replicas();
    assert_eq!(first, ["default#Model#0", "default#Model#1"]);
    world.deploy("a");
    assert_eq!(world.replicas(), first, "nothing has changed");
    world.deploy("b");
    let second = world.replicas();
    assert_eq!(second.len(), 2);
    assert!(second.iter().all(|id| !first.contains(id)), "{second:?}");
}
