//! The resources that replicas reserve, the wait for room, and the ranks of replicas.

use crate::support::status::{deployment_of, replicas_in};

use std::collections::BTreeSet;
use std::time::Duration;

use serve_core::prelude::*;
use serve_core::status::{
    ApplicationStatus, DeploymentDetails, DeploymentStatus, ReplicaDetails, ReplicaState,
};
use tokio::time::sleep;

#[deployment]
struct Job {
    gpus: Vec<String>,
}

#[handle]
impl Job {
    fn new(version: u32) -> Self {
        let _ = version;
        let replica = replica_context().expect("a constructor knows its replica");
        Self { gpus: replica.gpu_ids().to_vec() }
    }

    /// Its rank and the GPUs of the constructor and of the call.
    pub async fn place(&self) -> (usize, Vec<String>, Vec<String>) {
        // Long enough that each of several calls at once gets a replica of its own.
        sleep(Duration::from_millis(10)).await;
        let replica = replica_context().expect("a call knows its replica");
        (replica.rank(), self.gpus.clone(), replica.gpu_ids().to_vec())
    }

    pub async fn work(&self, ms: u64) {
        sleep(Duration::from_millis(ms)).await;
    }
}

fn job() -> Bound<Job> {
    Job::bind(1u32).max_ongoing_requests(1)
}

fn named(bound: Bound<Job>, name: &str) -> Application<Job> {
    Application::new(bound).name(name).without_route()
}

fn details(runtime: &MockRuntime, application: &str) -> DeploymentDetails {
    deployment_of(runtime, application, "Job")
}

fn waiting(runtime: &MockRuntime, application: &str) -> Vec<ReplicaDetails> {
    let replicas = details(runtime, application).replicas.into_iter();
    replicas.filter(|replica| replica.state == ReplicaState::Starting).collect()
}

/// The GPUs of `replicas` replicas, by rank.
async fn gpus(handle: &JobHandle, replicas: usize) -> Result<Vec<Vec<String>>> {
    let calls: Vec<_> = (0..replicas).map(|_| handle.place()).collect();
    let mut places = Vec::new();
    for call in calls {
        let (rank, constructed, called) = call.await?;
        assert_eq!(constructed, called);
        places.push((rank, called));
    }
    places.sort();
    assert!(places.iter().map(|(rank, _)| *rank).eq(0..replicas), "{places:?}");
    Ok(places.into_iter().map(|(_, gpus)| gpus).collect())
}

#[tokio::test(start_paused = true)]
async fn whole_gpus_are_exclusive_and_returned() -> Result<()> {
    let runtime = MockRuntime::builder().num_gpus(4).start();
    let handle = runtime.run(job().num_gpus(2.0).num_replicas(2)).await?;
    for round in 0..5 {
        let all: Vec<String> = gpus(&handle, 2).await?.concat();
        let distinct: BTreeSet<&String> = all.iter().collect();
        assert_eq!((all.len(), distinct.len()), (4, 4), "round {round}: {all:?}");
        // Another version takes over the GPUs of the one before.
        runtime.run(Job::bind(round).max_ongoing_requests(1).num_gpus(2.0).num_replicas(2)).await?;
    }
    runtime.delete("default").await?;
    let one = runtime.run(job().num_gpus(4.0)).await?;
    assert_eq!(gpus(&one, 1).await?.concat(), ["0", "1", "2", "3"]);
    let none = runtime.run(named(job(), "none")).await?;
    assert_eq!(gpus(&none, 1).await?, [[""; 0]]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn fractional_gpus_share_a_device() -> Result<()> {
    let runtime = MockRuntime::builder().num_gpus(2).start();
    let handle = runtime.run(job().num_gpus(0.5).num_replicas(4)).await?;
    let seen = gpus(&handle, 4).await?;
    assert_eq!(seen, [["0"], ["0"], ["1"], ["1"]]);
    runtime.run(job().num_gpus(0.5).num_replicas(2)).await?;
    sleep(Duration::from_secs(1)).await;
    let whole = runtime.run(named(job().num_gpus(1.0), "whole")).await?;
    assert_eq!(gpus(&whole, 1).await?, [["1"]], "what is given back is whole again");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn gpu_ids_are_those_given_to_the_runtime() -> Result<()> {
    let runtime = Runtime::builder().gpu_ids(["GPU-a", "GPU-b"]).start().await?;
    let handle = runtime.run(job().num_gpus(1.0).num_replicas(2)).await?;
    assert_eq!(gpus(&handle, 2).await?, [["GPU-a"], ["GPU-b"]]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_replica_without_room_waits_and_says_why() -> Result<()> {
    let runtime =
        MockRuntime::builder().num_cpus(4.0).num_gpus(1).memory(1_000).resource("tpu", 2.0).start();
    let everything = || job().num_cpus(3.5).num_gpus(1.0).memory(900).resource("tpu", 1.5);
    let rows: [(Bound<Job>, &str); 6] = [
        (job().num_cpus(1.0), "it needs 1 CPU, and 0.5 of 4 are free"),
        (job().num_gpus(0.1), "it needs 0.1 of a GPU, and none of 1 has that much free"),
        (job().num_gpus(1.0), "it needs 1 GPU, and 0 of 1 are free"),
        (job().memory(101), "it needs 101 bytes of memory, and 100 of 1000 are free"),
        (job().resource("tpu", 1.0), "it needs 1 `tpu`, and 0.5 of 2 are free"),
        (everything(), "it needs 3.5 CPUs, and 0.5 of 4 are free"),
    ];
    for (bound, reason) in rows {
        let first = runtime.run(named(everything(), "first")).await?;
        let second = runtime.run(named(bound, "second"));
        let watched = async {
            sleep(Duration::from_secs(3_600)).await;
            let [waiting] = &waiting(&runtime, "second")[..] else { panic!("{reason}") };
            assert_eq!(waiting.message, reason);
            let status = runtime.status();
            assert_eq!(status.applications["second"].status, ApplicationStatus::Deploying);
            assert_eq!(details(&runtime, "second").status, DeploymentStatus::Updating);
            first.work(1).await?;
            runtime.delete("first").await?;
            Ok::<_, Error>(())
        };
        let (second, watched) = futures::join!(second, watched);
        watched?;
        second?.work(1).await?;
        assert!(waiting(&runtime, "second").is_empty());
        runtime.delete("second").await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn waiting_replicas_do_not_block_smaller_ones() -> Result<()> {
    let runtime = MockRuntime::builder().num_gpus(2).start();
    let first = runtime.run(named(job().num_gpus(1.0), "first")).await?;
    let too_much = runtime.run(job().num_gpus(2.0));
    let fits = async {
        sleep(Duration::from_secs(60)).await;
        runtime.run(job().num_gpus(1.0)).await
    };
    let (too_much, fits) = futures::join!(too_much, fits);
    assert_eq!(gpus(&first, 1).await?, [["0"]]);
    assert_eq!(gpus(&fits?, 1).await?, [["1"]]);
    assert_eq!(gpus(&too_much?, 1).await?, [["1"]]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_update_on_a_full_node_makes_room() -> Result<()> {
    for (replicas, surge) in [(1, 0.0), (1, 100.0), (3, 0.0), (3, 100.0)] {
        let runtime = MockRuntime::builder().num_cpus(f64::from(replicas)).start();
        let bind = |version: u32| {
            let bound = Job::bind(version).num_cpus(1.0).max_surge_percent(surge);
            bound.num_replicas(replicas as usize)
        };
        let handle = runtime.run(bind(1)).await?;
        let load = async {
            let mut calls = Vec::new();
            for _ in 0..400 {
                calls.push(handle.work(30));
                sleep(Duration::from_millis(5)).await;
            }
            for call in calls {
                call.await?;
            }
            Ok::<_, Error>(())
        };
        let (updated, load) = futures::join!(runtime.run(bind(2)), load);
        updated?;
        load?;
        let running = details(&runtime, "default").replicas;
        assert!(running.iter().all(|replica| replica.state == ReplicaState::Running));
        assert_eq!(running.len(), replicas as usize);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn max_replicas_per_node_holds() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let limited = |replicas| job().max_replicas_per_node(2).num_replicas(replicas);
    let handle = runtime.run(limited(2)).await?;
    let third = runtime.run(limited(3)).await.map(drop).expect_err("there is one node");
    assert!(third.to_string().contains("its `max_replicas_per_node` is 2"), "{third}");
    // Those of another deployment do not count.
    runtime.run(named(job().max_replicas_per_node(2).num_replicas(2), "other")).await?;
    // Another version has to take the places of the one before.
    let next = Job::bind(2u32).max_ongoing_requests(1).max_replicas_per_node(2);
    runtime.run(next.num_replicas(2)).await?;
    assert_eq!(details(&runtime, "default").replicas.len(), 2);
    gpus(&handle, 2).await?;
    Ok(())
}

fn ranks(runtime: &MockRuntime) -> Vec<usize> {
    let lasting = replicas_in(runtime, "Job", |state| state != ReplicaState::Stopping);
    lasting.into_iter().map(|replica| replica.rank).collect()
}

#[tokio::test(start_paused = true)]
async fn ranks_have_no_gaps() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let bind = |version: u32, replicas| {
        Job::bind(version).max_ongoing_requests(1).num_replicas(replicas).max_surge_percent(50.0)
    };
    let handle = runtime.run(bind(1, 5)).await?;
    assert_eq!(ranks(&runtime), [0, 1, 2, 3, 4]);
    // The first to go leaves its place to the next.
    assert!(runtime.kill_replica::<Job>(0));
    assert!(runtime.kill_replica::<Job>(3));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(ranks(&runtime), [0, 1, 2, 3, 4]);
    gpus(&handle, 5).await?;
    for (version, replicas) in [(1, 2), (1, 6), (2, 6), (3, 3), (4, 8)] {
        runtime.run(bind(version, replicas)).await?;
        assert!(ranks(&runtime).into_iter().eq(0..replicas), "{:?}", ranks(&runtime));
        // The replicas themselves know it.
        gpus(&handle, replicas).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_refused_amount_changes_nothing() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    for (bound, said) in [
        (job().num_cpus(-1.0), "`num_cpus`"),
        (job().num_cpus(f64::NAN), "`num_cpus`"),
        (job().num_gpus(1.5), "`num_gpus`"),
        (job().resource("tpu", -0.5), "`tpu`"),
        (job().max_replicas_per_node(0), "`max_replicas_per_node`"),
    ] {
        let refused = runtime.run(bound).await.map(drop).expect_err("it makes no sense");
        assert!(refused.to_string().contains(said), "{refused}");
        assert!(runtime.status().applications.is_empty());
    }
    Ok(())
}

/// Says on how many threads at once its calls compute.
#[deployment(num_cpus = 2.5)]
#[derive(Default)]
struct Cruncher {
    gate: std::sync::Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    inside: parking_lot::Mutex<usize>,
    changed: parking_lot::Condvar,
}

#[handle]
impl Cruncher {
    /// True once three calls are inside at once.
    #[blocking]
    pub fn meet(&self) -> usize {
        let mut inside = self.gate.inside.lock();
        *inside += 1;
        self.gate.changed.notify_all();
        while *inside < 3 {
            self.gate.changed.wait(&mut inside);
        }
        *inside
    }
}

#[tokio::test]
async fn compute_threads_are_cpus_rounded_up() -> Result<()> {
    let runtime = Runtime::builder().num_cpus(8.0).start().await?;
    let cruncher = runtime.run(Cruncher::bind()).await?;
    let calls: Vec<_> = (0..3).map(|_| cruncher.meet()).collect();
    for call in calls {
        assert!(call.await? >= 3);
    }
    Ok(())
}
