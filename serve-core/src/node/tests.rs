//! Tests of a node alone, with a test in the role of the controller.
#![allow(unreachable_pub, reason = "a handle has the public methods, and a test no public face")]

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::runtime::Handle as Tokio;
use tokio::sync::watch;

use super::{Agent, NoSubstitutes, NodeDirectory, NodeResources};
use crate::application::{AnyApplication, Blueprints, Plan};
use crate::call::runtime_context::RuntimeContext;
use crate::controller::{
    ASSIGNMENTS, AssignedReplica, AssignedSpec, Assignment, DeploymentId, DeploymentReport,
    MemoryStore, ReplicaReport, Resources, Surroundings, WriteBatch, deployment_report, read,
    replica_report,
};
use crate::prelude::*;
use crate::time::WallClock;

#[deployment]
#[derive(Default)]
struct Model;

#[handle]
impl Model {
    pub async fn call(&self) {}
}

const ID: DeploymentId = DeploymentId::of_a_test(1);

struct World {
    surroundings: Surroundings,
    assignment: Assignment,
    _agent: Agent,
}

impl World {
    fn new() -> Self {
        let runtime = Arc::new(RuntimeContext::new(Tokio::current(), 1));
        let directory = Arc::new(NodeDirectory::new(Arc::clone(&runtime), 1));
        let surroundings = Surroundings {
            tokio: Tokio::current(),
            store: Arc::new(MemoryStore::default()),
            reports: Arc::new(MemoryStore::default()),
            loads: Arc::clone(&directory) as _,
            blueprints: Arc::new(Blueprints::default()),
            clock: WallClock::of_a_test(),
            incarnation: None,
            changes: watch::Sender::new(0),
        };
        let resources = Arc::new(NodeResources::new(Resources::plenty()));
        let routes = Box::new(drop);
        let agent = Agent::start(
            runtime,
            Arc::new(NoSubstitutes),
            resources,
            directory,
            &surroundings,
            routes,
        );
        let application = AnyApplication::from(Application::new(Model::bind()));
        let plan = Plan::of(&application, |_| false).expect("a plan");
        let (blueprint, _plan) = surroundings.blueprints.add(plan);
        let spec =
            AssignedSpec { blueprint, serial: 1, version: 1, config_version: 1, suspended: None };
        let assignment = Assignment {
            application: "default".to_owned(),
            deployment: "Model".to_owned(),
            spec,
            retired: None,
            replicas: BTreeMap::new(),
        };
        Self { surroundings, assignment, _agent: agent }
    }

    fn add_replica(&mut self, number: u64) {
        let id = format!("default#Model#{number}").into();
        let assigned_at = self.surroundings.clock.now();
        let (rank, version, config_version) = (0, 1, 1);
        let replica =
            AssignedReplica { id, rank, assigned_at, version, config_version, stops: false };
        self.assignment.replicas.insert(number, replica);
    }

    /// Assigns, and waits until the node has nothing left to do.
    async fn assign(&self) {
        let mut batch = WriteBatch::default();
        batch.put(ID.key(ASSIGNMENTS), &self.assignment);
        self.surroundings.store.put(batch).await.expect("a store in memory");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }

    async fn report<T: for<'a> Deserialize<'a>>(&self, key: String) -> Option<T> {
        let entry = self.surroundings.reports.get(&key).await.expect("a store in memory");
        entry.map(|entry| read(&key, &entry))
    }

    async fn replica(&self, number: u64) -> Option<ReplicaReport> {
        self.report(replica_report(ID, number)).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_the_node_first_sees_when_it_is_to_go_goes() {
    let mut world = World::new();
    world.add_replica(0);
    world.assignment.retired = Some("its application was deleted".to_owned());
    world.assign().await;
    let report: DeploymentReport = world.report(deployment_report(ID)).await.expect("a report");
    assert!(report.drained);
    world.assignment.replicas.get_mut(&0).expect("it was added").stops = true;
    world.assign().await;
    assert_eq!(world.replica(0).await, Some(ReplicaReport::Stopped));
    world.assignment.replicas.clear();
    world.assign().await;
    assert_eq!(world.replica(0).await, None, "its end was taken note of");
}

#[tokio::test(start_paused = true)]
async fn assignments_that_the_node_has_missed_change_nothing_in_the_end() {
    let mut world = World::new();
    world.add_replica(0);
    world.assign().await;
    let running = ReplicaReport::running(1);
    assert_eq!(world.replica(0).await, Some(running.clone()));
    // Replica 1 was to start and to stop meanwhile, and nothing requested the end of replica 0.
    world.add_replica(1);
    world.assignment.replicas.get_mut(&1).expect("it was added").stops = true;
    world.assignment.replicas.remove(&0);
    world.add_replica(2);
    world.assign().await;
    assert_eq!(world.replica(0).await, None);
    assert_eq!(world.replica(1).await, Some(ReplicaReport::Stopped));
    assert_eq!(world.replica(2).await, Some(running));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_not_assigned_any_more_leaves_no_report() {
    let mut world = World::new();
    world.add_replica(0);
    world.assign().await;
    assert_eq!(world.surroundings.reports.keys("").await.expect("keys").len(), 2);
    let mut batch = WriteBatch::default();
    batch.delete(ID.key(ASSIGNMENTS));
    world.surroundings.store.put(batch).await.expect("a store in memory");
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    assert_eq!(world.surroundings.reports.keys("").await.expect("keys"), [""; 0]);
}
