//! The statuses of deployments and applications follow the table of Ray Serve.

use std::time::Duration;

use serde_json::{Value, json};
use serve_core::prelude::*;
use tokio::time::sleep;

/// Takes a second to start.
#[deployment(max_ongoing_requests = 1)]
struct Worker;

#[handle]
impl Worker {
    async fn new(version: u32) -> Result<Self> {
        sleep(Duration::from_secs(1)).await;
        if version == 13 { Err(Error::msg("unlucky")) } else { Ok(Self) }
    }

    pub async fn work(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }
}

/// Application, deployment and trigger, as they are written.
type Standing = [String; 3];

fn standing(runtime: &MockRuntime) -> Option<Standing> {
    let status = serde_json::to_value(runtime.status()).expect("a status is plain data");
    let application = &status["applications"]["default"];
    let worker = &application["deployments"]["Worker"];
    let parts = [&application["status"], &worker["status"], &worker["status_trigger"]];
    let text = |part: &Value| Some(part.as_str()?.to_owned());
    Some([text(parts[0])?, text(parts[1])?, text(parts[2])?])
}

/// The statuses during `step` and the 20 s after it.
async fn path(runtime: &MockRuntime, step: impl Future<Output = ()>) -> Vec<Standing> {
    let mut seen: Vec<Standing> = standing(runtime).into_iter().collect();
    let mut step = std::pin::pin!(async {
        step.await;
        sleep(Duration::from_secs(20)).await;
    });
    loop {
        tokio::select! {
            biased;
            () = &mut step => return seen,
            () = sleep(Duration::from_millis(50)) => {}
        }
        if let Some(now) = standing(runtime)
            && seen.last() != Some(&now)
        {
            seen.push(now);
        }
    }
}

/// True if the table of Ray Serve has an event that leads from one status to the other. The table
/// has no rows for updates, downscaling, failed checks and deletion.
fn is_in_the_table(table: &Value, from: &Standing, to: &Standing) -> bool {
    let without_rows = [
        ["UPDATING", "CONFIG_UPDATE_STARTED"],
        ["DOWNSCALING", "CONFIG_UPDATE_STARTED"],
        ["UNHEALTHY", "HEALTH_CHECK_FAILED"],
        ["DEPLOY_FAILED", "HEALTH_CHECK_FAILED"],
        ["UPDATING", "DELETING"],
    ];
    let rows = table["rows"].as_array().expect("the table has rows");
    without_rows.iter().any(|skipped| to[1..] == *skipped)
        || rows.iter().any(|row| {
            [&row[0], &row[1], &row[3], &row[4]]
                == [&json!(from[1]), &json!(from[2]), &json!(to[1]), &json!(to[2])]
        })
}

#[tokio::test(start_paused = true)]
async fn transitions_are_those_of_ray_serve() -> Result<()> {
    const STARTED: [&str; 2] = ["UPDATING", "CONFIG_UPDATE_STARTED"];
    const COMPLETED: [&str; 2] = ["HEALTHY", "CONFIG_UPDATE_COMPLETED"];
    let table: Value = serde_json::from_str(include_str!("../vectors/status_machine.json"))?;
    let runtime = MockRuntime::builder().start();
    let run = |version: u32, replicas: usize| {
        let runtime = &runtime;
        async move {
            // Whether it worked is seen in the status.
            let _ = runtime.run(Worker::bind(version).num_replicas(replicas)).await;
        }
    };
    let mut at: Option<Standing> = None;
    let mut follow = |name: &str, seen: Vec<Standing>, expected: &[(&str, [&str; 2])]| {
        let skip = usize::from(at.is_some());
        let seen_here: Vec<_> =
            seen.iter().skip(skip).map(|[app, s, t]| (&**app, [&**s, &**t])).collect();
        assert_eq!(seen_here, expected, "{name}");
        for pair in seen.windows(2).filter(|pair| pair[0][1..] != pair[1][1..]) {
            assert!(is_in_the_table(&table, &pair[0], &pair[1]), "{name}: {pair:?}");
        }
        at = seen.last().cloned();
    };

    let seen = path(&runtime, run(1, 1)).await;
    follow("first deploy", seen, &[("DEPLOYING", STARTED), ("RUNNING", COMPLETED)]);
    let seen = path(&runtime, run(1, 1)).await;
    follow("the same again", seen, &[]);
    let seen = path(&runtime, run(1, 3)).await;
    let up = ("DEPLOYING", ["UPSCALING", "CONFIG_UPDATE_STARTED"]);
    follow("more replicas", seen, &[up, ("RUNNING", ["HEALTHY", "UPSCALE_COMPLETED"])]);

    let worker = runtime.get_app_handle::<Worker>("default")?;
    let calls: Vec<_> = (0..3).map(|_| worker.work(5)).collect();
    sleep(Duration::from_millis(1)).await;
    let seen = path(&runtime, run(1, 1)).await;
    let down = ("DEPLOYING", ["DOWNSCALING", "CONFIG_UPDATE_STARTED"]);
    follow("fewer", seen, &[down, ("RUNNING", ["HEALTHY", "DOWNSCALE_COMPLETED"])]);
    futures::future::try_join_all(calls).await?;

    let seen = path(&runtime, run(2, 2)).await;
    follow("a new version", seen, &[("DEPLOYING", STARTED), ("RUNNING", COMPLETED)]);
    let kill = async { assert!(runtime.kill_replica::<Worker>(1)) };
    let ill = ["UNHEALTHY", "HEALTH_CHECK_FAILED"];
    let well = ["HEALTHY", "UNSPECIFIED"];
    follow("a kill", path(&runtime, kill).await, &[("UNHEALTHY", ill), ("RUNNING", well)]);
    let failed = ["DEPLOY_FAILED", "REPLICA_STARTUP_FAILED"];
    let seen = path(&runtime, run(13, 2)).await;
    let until_failed = [("DEPLOYING", STARTED), ("DEPLOY_FAILED", failed)];
    follow("a version that fails", seen, &until_failed);
    let seen = path(&runtime, run(3, 2)).await;
    follow("a better one", seen, &[("DEPLOYING", STARTED), ("RUNNING", COMPLETED)]);

    let update = async {
        let kill = async {
            sleep(Duration::from_millis(500)).await;
            assert!(runtime.kill_replica::<Worker>(1) || runtime.kill_replica::<Worker>(0));
        };
        futures::join!(run(4, 2), kill);
    };
    let seen = path(&runtime, update).await;
    let hit = ("DEPLOYING", ["DEPLOY_FAILED", "HEALTH_CHECK_FAILED"]);
    follow("a kill in an update", seen, &[("DEPLOYING", STARTED), hit, ("RUNNING", well)]);

    let last = worker.work(5);
    sleep(Duration::from_millis(1)).await;
    let delete = async { runtime.delete("default").await.expect("it is there") };
    let seen = path(&runtime, delete).await;
    follow("the end", seen, &[("DELETING", ["UPDATING", "DELETING"])]);
    last.await?;
    assert_eq!(standing(&runtime), None);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn statuses_use_ray_serves_names() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let worker = runtime.run(Worker::bind(1u32).num_replicas(2)).await?;
    let calls: Vec<_> = (0..5).map(|_| worker.work(1)).collect();
    sleep(Duration::from_millis(1)).await;
    assert!(runtime.kill_replica::<Worker>(1));
    sleep(Duration::from_millis(1)).await;
    let status = serde_json::to_value(runtime.status())?;
    let dead = &status["applications"]["default"]["deployments"]["Worker"]["recent_dead_replicas"];
    let expected = json!({ "applications": { "default": {
        "status": "UNHEALTHY",
        "message": "deployment `Worker`: replica default#Worker#1: it was killed",
        "route_prefix": "/",
        "deployments": { "Worker": {
            "status": "UNHEALTHY",
            "status_trigger": "HEALTH_CHECK_FAILED",
            "message": "replica default#Worker#1: it was killed",
            "target_num_replicas": 2,
            "ongoing": 1,
            "queued": 3,
            "replicas": [
                { "replica_id": "default#Worker#0", "rank": 0, "state": "RUNNING", "message": "" },
                { "replica_id": "default#Worker#2", "rank": 1, "state": "STARTING", "message": "" },
            ],
            "recent_dead_replicas": dead,
            "autoscaling_decisions": [],
        } },
    } } });
    assert_eq!(status, expected);
    assert_eq!(dead, &json!([{ "replica_id": "default#Worker#1", "reason": "it was killed" }]));
    drop(calls);
    Ok(())
}
