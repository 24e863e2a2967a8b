//! Progress messages of an application that takes long to start, for example because it loads
//! models, or because its replicas wait for resources.

use std::convert::Infallible;
use std::time::Duration;

use serve_core::Runtime;
use serve_core::status::{DeploymentDetails, ReplicaState};
use tokio::time::{Instant, sleep_until};

use crate::output;

/// The interval of the messages: people doubt a terminal that stays silent for longer.
const INTERVAL: Duration = Duration::from_secs(5);

/// The delay before replicas that wait for resources are first reported.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// Replicas of one deployment that have not started yet.
#[derive(Debug, PartialEq, Eq)]
struct Awaited {
    deployment: String,
    replicas: usize,
    /// The resource that the replicas wait for; `None` if they are being started.
    waits_for: Option<String>,
    /// The reason why the last attempt to start a replica failed.
    failed: Option<String>,
}

/// Reports every few seconds which replicas the application waits for, until the future is
/// dropped.
pub(super) async fn report(runtime: &Runtime, application: &str) -> Infallible {
    let look = || {
        let status = runtime.status();
        let application = status.application(application);
        let deployments = application.into_iter().flat_map(|details| &details.deployments);
        deployments.flat_map(|(name, details)| awaited(name, details)).collect()
    };
    report_to(|waiting| output::status("Waiting", waiting), look).await
}

async fn report_to(mut say: impl FnMut(String), look: impl Fn() -> Vec<Awaited>) -> Infallible {
    let began = Instant::now();
    sleep_until(began + FIRST_LOOK).await;
    for awaited in look().iter().filter(|awaited| awaited.waits_for.is_some()) {
        say(awaited.message(FIRST_LOOK));
    }
    let mut next = began + INTERVAL;
    loop {
        sleep_until(next).await;
        for awaited in look() {
            say(awaited.message(next - began));
        }
        next += INTERVAL;
    }
}

/// Returns the replicas of one deployment that have not started, and those that wait for
/// resources first.
fn awaited(name: &str, details: &DeploymentDetails) -> Vec<Awaited> {
    let starting = details.replicas.iter().filter(|it| it.state == ReplicaState::Starting);
    let (without_resources, made): (Vec<_>, Vec<_>) =
        starting.partition(|it| !it.message.is_empty());
    let failed = details.recent_dead_replicas.last().map(|dead| dead.reason.clone());
    let deployment = name.to_owned();
    // A failed replica is started again after a pause, during which there is no replica.
    let paused = usize::from(details.replicas.is_empty() && failed.is_some());
    let without_resources = without_resources.first().map(|first| Awaited {
        deployment: deployment.clone(),
        replicas: without_resources.len(),
        waits_for: Some(first.message.clone()),
        failed: None,
    });
    let made = made.len() + paused;
    let made =
        (made > 0).then_some(Awaited { deployment, replicas: made, waits_for: None, failed });
    without_resources.into_iter().chain(made).collect()
}

impl Awaited {
    fn message(&self, so_far: Duration) -> String {
        let (deployment, seconds) = (&self.deployment, so_far.as_secs());
        let replicas = match self.replicas {
            1 => "a replica".to_owned(),
            several => format!("{several} replicas"),
        };
        let mut message = match &self.waits_for {
            Some(why) => {
                format!("for resources for {replicas} of `{deployment}` ({seconds}s so far): {why}")
            }
            None => format!("for {replicas} of `{deployment}` to start ({seconds}s so far)"),
        };
        if let Some(why) = &self.failed {
            message.push_str(&format!("; the last attempt failed: {why}"));
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said_within(time: Duration, look: impl Fn() -> Vec<Awaited>) -> Vec<String> {
        let mut said = Vec::new();
        let reported = report_to(|waiting| said.push(waiting), look);
        tokio::time::timeout(time, reported)
            .await
            .expect_err("reporting continues until it is dropped");
        said
    }

    fn starting() -> Awaited {
        Awaited { deployment: "Model".to_owned(), replicas: 2, waits_for: None, failed: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_start_is_reported_every_few_seconds_and_a_short_one_is_not() {
        let long = INTERVAL * 2 + Duration::from_secs(1);
        assert_eq!(
            said_within(long, || vec![starting()]).await,
            [
                "for 2 replicas of `Model` to start (5s so far)",
                "for 2 replicas of `Model` to start (10s so far)"
            ]
        );
        assert!(said_within(Duration::from_secs(4), || vec![starting()]).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_without_resources_is_reported_at_once_with_the_reason() {
        let look = || {
            let why = "it needs 1 GPU, and 0 of 1 are free".to_owned();
            vec![Awaited { replicas: 1, waits_for: Some(why), ..starting() }]
        };
        assert_eq!(
            said_within(Duration::from_secs(2), look).await,
            [
                "for resources for a replica of `Model` (1s so far): it needs 1 GPU, and 0 of 1 are free"
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_retried_start_says_why_the_last_attempt_failed() {
        let look = || vec![Awaited { failed: Some("no such file".to_owned()), ..starting() }];
        assert_eq!(
            said_within(Duration::from_secs(6), look).await,
            [
                "for 2 replicas of `Model` to start (5s so far); the last attempt failed: no such file"
            ]
        );
    }
}
