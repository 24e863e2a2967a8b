//! The commands that talk to a running instance, through its admin port: `deploy`, `status`, `scale`
//! and their like. Both `cargo serve` and the built program have them.

mod client;
mod error;
mod status;
mod wait;

use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use serve_core::config::{Config, ConfigFaults};

use self::client::{Client, segment};
pub(crate) use self::error::Error;
pub(crate) use self::wait::failure;
use crate::arguments::{RemoteCommand, process_variables};
use crate::{exit_code, output};

const APPLICATIONS: &str = "/api/serve/applications/";

/// Runs a command. Returns its exit code.
pub(crate) fn run(command: &RemoteCommand) -> Result<u8, Error> {
    if matches!(command, RemoteCommand::Schema) {
        output::result(format_args!("{:#}", Config::schema()))?;
        return Ok(exit_code::OK);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Error::Runtime)?.block_on(execute(command))
}

async fn execute(command: &RemoteCommand) -> Result<u8, Error> {
    let client = |remote| Client::new(remote, &process_variables);
    match command {
        RemoteCommand::Deploy { file, no_wait, timeout, remote } => {
            let config = read(file).map_err(|error| match error {
                Error::Faults { faults } => Error::DeployRefused { faults },
                other => other,
            })?;
            let client = client(remote)?;
            let accepted = client.put(APPLICATIONS, &json!(config)).await;
            let accepted = accepted.map_err(|refused| deploy_refused(&config, refused))?;
            let revision = accepted["revision"].as_u64().unwrap_or_default();
            output::status("Accepted", format_args!("{} as revision {revision}", file.display()));
            let names = config.applications.iter().map(|it| it.name.clone()).collect();
            finish(&client, &format!("revision {revision}"), names, *no_wait, *timeout).await
        }
        RemoteCommand::Rollback { revision, no_wait, timeout, remote } => {
            let client = client(remote)?;
            let body =
                revision.map_or_else(|| json!({}), |revision| json!({ "revision": revision }));
            let accepted = client.post("/api/v1/config/rollback", &body).await?;
            let revision = accepted["revision"].as_u64().unwrap_or_default();
            output::status(
                "Accepted",
                format_args!("an earlier configuration as revision {revision}"),
            );
            let config = client.get("/api/v1/config").await?;
            let applications = config["config"]["applications"].as_array();
            let names = applications.into_iter().flatten();
            let names = names.filter_map(|it| Some(it["name"].as_str()?.to_owned())).collect();
            finish(&client, &format!("revision {revision}"), names, *no_wait, *timeout).await
        }
        RemoteCommand::Status { application, json, remote } => {
            let details = client(remote)?.get(APPLICATIONS).await?;
            status::show(&details, application.as_deref(), *json)
        }
        RemoteCommand::Config { json, history, remote } => {
            let client = client(remote)?;
            if *history {
                return show_history(&client.get("/api/v1/config/history").await?, *json);
            }
            let config = client.get("/api/v1/config").await?;
            match json {
                true => output::result(format_args!("{:#}", config["config"]))?,
                false => output::result(config["yaml"].as_str().unwrap_or_default().trim_end())?,
            }
            Ok(exit_code::OK)
        }
        RemoteCommand::Scale { application, deployment, replicas, remote } => {
            let path = format!(
                "/api/v1/applications/{}/deployments/{}/scale",
                segment(application),
                segment(deployment)
            );
            client(remote)?.post(&path, &json!({ "target_num_replicas": replicas })).await?;
            let what = match replicas {
                1 => "1 replica".to_owned(),
                several => format!("{several} replicas"),
            };
            output::status("Accepted", format_args!("`{deployment}` of `{application}`: {what}"));
            Ok(exit_code::OK)
        }
        RemoteCommand::Delete { application, remote } => {
            let path = format!("/api/v1/applications/{}", segment(application));
            client(remote)?.delete(&path).await?;
            output::status("Deleted", format_args!("`{application}`"));
            Ok(exit_code::OK)
        }
        RemoteCommand::Diff { file, json, remote } => {
            let (config, client) = (read(file)?, client(remote)?);
            let diff = client.post("/api/v1/config/diff", &json!(config)).await;
            show_diff(&diff.map_err(|refused| placed(&config, refused))?, *json)
        }
        RemoteCommand::Shutdown { yes, remote } => {
            let client = client(remote)?;
            if !yes && !confirmed(client.address()) {
                return Err(Error::NotConfirmed);
            }
            client.post("/api/v1/shutdown", &json!({})).await?;
            output::status("Stopping", format_args!("the instance at {}", client.address()));
            Ok(exit_code::OK)
        }
        RemoteCommand::Schema => Ok(exit_code::OK),
    }
}

/// Reads a configuration, with the variables of the environment.
pub(crate) fn read(file: &Path) -> Result<Config, Error> {
    let name = file.display().to_string();
    let text = std::fs::read(file)
        .map_err(|source| Error::Unreadable { file: output::name(&name), source })?;
    let variables = |variable: &str| std::env::var(variable).ok();
    let config = Config::parse_bytes(&text, &name, &variables);
    let config = config.map_err(|faults| Error::faults(&faults))?;
    for note in config.notes() {
        output::warning(note);
    }
    Ok(config)
}

/// Puts the faults that an instance finds at their places in the file.
fn placed(config: &Config, refused: Error) -> Error {
    let Error::Refused { code, message } = refused else { return refused };
    if code != "invalid_config" && code != "needs_restart" {
        return Error::Refused { code, message };
    }
    let faults = message.lines().map(|line| {
        let (path, message) = line.split_once(": ").unwrap_or(("", line));
        config.fault(path, message)
    });
    match ConfigFaults::of_all(faults.collect()) {
        Some(faults) => Error::faults(&faults),
        None => Error::Refused { code, message },
    }
}

/// Returns the error of a deploy that was not accepted.
fn deploy_refused(config: &Config, refused: Error) -> Error {
    match placed(config, refused) {
        Error::Faults { faults } => Error::DeployRefused { faults },
        other => other,
    }
}

async fn finish(
    client: &Client,
    what: &str,
    names: Vec<String>,
    no_wait: bool,
    timeout: Option<Duration>,
) -> Result<u8, Error> {
    if !no_wait {
        wait::until_deployed(client, what, &names, timeout).await?;
    }
    Ok(exit_code::OK)
}

fn show_history(history: &Value, as_json: bool) -> Result<u8, Error> {
    if as_json {
        output::result(format_args!("{history:#}"))?;
        return Ok(exit_code::OK);
    }
    for change in history["changes"].as_array().into_iter().flatten() {
        let text = |key: &str| output::printable(change[key].as_str().unwrap_or_default());
        let revision = change["revision"].as_u64().unwrap_or_default();
        output::result(format_args!(
            "{revision:>4}  {}  {}\n      by {}",
            text("at"),
            text("what"),
            text("by")
        ))?;
    }
    Ok(exit_code::OK)
}

fn show_diff(diff: &Value, as_json: bool) -> Result<u8, Error> {
    let effects = diff["effects"].as_array().cloned().unwrap_or_default();
    if as_json {
        output::result(format_args!("{:#}", diff["effects"]))?;
    }
    for effect in effects.iter().filter(|_| !as_json) {
        let text = |value: &Value| output::printable(value.as_str().unwrap_or_default());
        let (sign, said) = match effect["effect"].as_str().unwrap_or_default() {
            "add" => ("+", "is added"),
            "delete" => ("-", "is deleted"),
            "roll" => ("~", "replaces its replicas, a few at a time"),
            "reconfigure" => ("~", "takes a user config, without a restart"),
            _ => ("~", "changes in place"),
        };
        let name = match &effect["deployment"] {
            Value::String(deployment) => {
                format!("{} / {}", text(&effect["application"]), output::printable(deployment))
            }
            _ => text(&effect["application"]),
        };
        output::result(format_args!("{sign} {name}  {said}"))?;
        for change in effect["changes"].as_array().into_iter().flatten() {
            output::result(format_args!("    {}", text(change)))?;
        }
    }
    if effects.is_empty() && !as_json {
        output::note("nothing differs");
    }
    Ok(if effects.is_empty() { exit_code::OK } else { exit_code::DIFFERS })
}

/// Asks at a terminal whether to shut down. Elsewhere, the command itself is the answer.
fn confirmed(address: &str) -> bool {
    if !std::io::stdin().is_terminal() {
        return true;
    }
    output::note(format_args!("Stop the instance at {address}? [y/N]"));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}
