//! Waiting for a deploy, with its progress.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::APPLICATIONS;
use super::client::Client;
use super::error::Error;
use crate::output;

/// The period at which the status is asked for.
const LOOK: Duration = Duration::from_millis(200);

/// Waits until the applications run, and all others of the configuration before are gone.
pub(super) async fn until_deployed(
    client: &Client,
    what: &str,
    names: &[String],
    timeout: Option<Duration>,
) -> Result<(), Error> {
    let began = Instant::now();
    let mut said = BTreeMap::new();
    loop {
        let details = client.get(APPLICATIONS).await?;
        let progress = Progress::of(&details, names);
        for (name, state) in &progress.states {
            if said.insert(name.clone(), state.clone()).as_ref() != Some(state) {
                output::status(state.verb, format_args!("`{name}`{}", state.about()));
            }
        }
        if !progress.goes_on() {
            return progress.outcome(what);
        }
        if let Some(limit) = timeout.filter(|limit| began.elapsed() >= *limit) {
            return Err(Error::StillDeploying {
                what: what.to_owned(),
                waited: humantime::format_duration(limit).to_string(),
                goes_on: progress.waiting().join("; "),
            });
        }
        sleep(LOOK).await;
    }
}

/// The states of the applications of a deploy.
#[derive(Debug, PartialEq, Eq)]
struct Progress {
    states: Vec<(String, State)>,
}

/// The state of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    verb: &'static str,
    message: String,
    replicas: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    GoesOn,
    Runs,
    Failed,
}

impl State {
    fn about(&self) -> String {
        let mut about = String::new();
        for part in [&self.replicas, &self.message] {
            if !part.is_empty() {
                about.push_str(if about.is_empty() { ": " } else { "; " });
                about.push_str(part);
            }
        }
        about
    }
}

impl Progress {
    fn of(details: &Value, names: &[String]) -> Self {
        let applications = &details["applications"];
        let wanted = names.iter().map(|name| (name.clone(), state(&applications[name])));
        let leaving = applications.as_object().into_iter().flatten().filter(|(name, it)| {
            it["status"] == "DELETING" && !names.iter().any(|wanted| wanted == *name)
        });
        let leaving = leaving.map(|(name, it)| {
            let state = State { verb: "Deleting", ..state(it) };
            (name.clone(), State { kind: Kind::GoesOn, ..state })
        });
        Self { states: wanted.chain(leaving).collect() }
    }

    fn goes_on(&self) -> bool {
        self.states.iter().any(|(_, state)| state.kind == Kind::GoesOn)
    }

    fn waiting(&self) -> Vec<String> {
        let waiting = self.states.iter().filter(|(_, state)| state.kind == Kind::GoesOn);
        waiting.map(|(name, state)| format!("`{name}`{}", state.about())).collect()
    }

    fn outcome(&self, what: &str) -> Result<(), Error> {
        let failed = self.states.iter().filter(|(_, state)| state.kind == Kind::Failed);
        let failures: Vec<String> =
            failed.map(|(name, state)| failure(name, &state.message)).collect();
        match failures.is_empty() {
            true => Ok(()),
            false => Err(Error::DeployFailed {
                what: what.to_owned(),
                failures: output::printable(&failures.join("\n")),
            }),
        }
    }
}

/// Returns the line about an application that failed. Most messages name the application.
pub(crate) fn failure(name: &str, message: &str) -> String {
    match message.starts_with(&format!("application `{name}`")) {
        true => message.to_owned(),
        false => format!("`{name}`: {message}"),
    }
}

fn state(application: &Value) -> State {
    let text = |key: &str| application[key].as_str().unwrap_or_default().to_owned();
    let (verb, kind) = match &*text("status") {
        "RUNNING" => ("Running", Kind::Runs),
        "DEPLOY_FAILED" => ("Failed", Kind::Failed),
        "UNHEALTHY" => ("Unhealthy", Kind::GoesOn),
        "DELETING" => ("Deleting", Kind::GoesOn),
        _ => ("Deploying", Kind::GoesOn),
    };
    let deployments = application["deployments"].as_object();
    let counts = deployments.into_iter().flatten().filter_map(|(name, it)| {
        let replicas = it["replicas"].as_array()?;
        let running = replicas.iter().filter(|replica| replica["state"] == "RUNNING").count();
        let target = it["target_num_replicas"].as_u64()?;
        Some(format!("{name} {running}/{target}"))
    });
    let replicas: Vec<String> = counts.collect();
    let message = if kind == Kind::Runs { String::new() } else { text("message") };
    State { verb, message, replicas: replicas.join(", "), kind }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_deploy_goes_on_until_each_application_has_settled() {
        let replica = |state: &str| json!({ "state": state });
        let application = |status: &str, running: bool| {
            let state = if running { "RUNNING" } else { "STARTING" };
            json!({
                "status": status,
                "message": "waits",
                "deployments": { "Echo": {
                    "target_num_replicas": 2,
                    "replicas": [replica("RUNNING"), replica(state)],
                }},
            })
        };
        let progress = |applications: Value, names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Progress::of(&json!({ "applications": applications }), &names)
        };
        let deploying = progress(json!({ "a": application("DEPLOYING", false) }), &["a"]);
        assert!(deploying.goes_on());
        assert_eq!(deploying.waiting(), ["`a`: Echo 1/2; waits"]);
        let running = progress(json!({ "a": application("RUNNING", true) }), &["a"]);
        assert!(!running.goes_on() && running.outcome("it").is_ok());
        assert!(progress(json!({}), &["a"]).goes_on(), "not known yet");
        let other =
            json!({ "a": application("RUNNING", true), "b": application("DELETING", true) });
        assert!(progress(other, &["a"]).goes_on(), "the application before is not gone");
        let own = json!({ "a": application("RUNNING", true), "b": application("DEPLOYING", true) });
        assert!(!progress(own, &["a"]).goes_on(), "another one does not matter");
        let failed = progress(json!({ "a": application("DEPLOY_FAILED", true) }), &["a"]);
        assert!(failed.outcome("it").expect_err("failed").to_string().contains("`a`: waits"));
    }
}
