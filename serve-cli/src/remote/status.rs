//! `status`: a table for people, or everything as JSON.

use std::fmt::Write as _;

use serde_json::Value;

use super::error::Error;
use crate::output::{FAINT, NAME};
use crate::{exit_code, output};

/// Shows the applications. The exit code says whether all of them run.
pub(super) fn show(details: &Value, only: Option<&str>, as_json: bool) -> Result<u8, Error> {
    let applications = &details["applications"];
    if let Some(name) = only
        && applications.get(name).is_none()
    {
        return Err(Error::NoApplication(output::name(name)));
    }
    let shown = applications.as_object().into_iter().flatten();
    let shown: Vec<(&String, &Value)> =
        shown.filter(|(name, _)| only.is_none_or(|only| only == *name)).collect();
    if as_json {
        let value = only.map_or(details, |name| &applications[name]);
        output::result(format_args!("{value:#}"))?;
    } else if shown.is_empty() {
        output::note("no application is deployed");
    } else {
        if let Some(capacity) = details["target_capacity"].as_f64() {
            output::result(format_args!("target capacity: {capacity} %"))?;
        }
        output::result(table(&shown).trim_end())?;
    }
    let all_run = shown.iter().all(|(_, application)| application["status"] == "RUNNING");
    Ok(if all_run { exit_code::OK } else { exit_code::NOT_RUNNING })
}

fn table(applications: &[(&String, &Value)]) -> String {
    let mut table = String::new();
    for (name, application) in applications {
        let text = |key: &str| output::printable(application[key].as_str().unwrap_or_default());
        let route = match application["route_prefix"].as_str() {
            Some(prefix) => format!("at {}", output::printable(prefix)),
            None => "without a route".to_owned(),
        };
        let (name, status, source) = (output::printable(name), text("status"), text("source"));
        let _ =
            writeln!(table, "{NAME}{name}{NAME:#}  {status}  {route}  {FAINT}{source}{FAINT:#}");
        let message = text("message");
        if !message.is_empty() {
            let _ = writeln!(table, "    {message}");
        }
        let deployments: Vec<_> =
            application["deployments"].as_object().into_iter().flatten().collect();
        let widest = deployments.iter().map(|(name, _)| name.chars().count()).max();
        let widest = widest.unwrap_or_default();
        for (name, deployment) in deployments {
            let _ = writeln!(table, "  {}", row(name, deployment, widest));
        }
    }
    table
}

fn row(name: &str, deployment: &Value, widest: usize) -> String {
    let status = deployment["status"].as_str().unwrap_or_default();
    let replicas = deployment["replicas"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |state: &str| replicas.iter().filter(|replica| replica["state"] == state).count();
    let target = deployment["target_num_replicas"].as_u64().unwrap_or_default();
    let mut row = format!(
        "{:<widest$}  {status:<12}  {}/{target} replicas run",
        output::printable(name),
        of("RUNNING")
    );
    for state in ["STARTING", "UPDATING", "STOPPING"] {
        let count = of(state);
        if count > 0 {
            let _ = write!(row, ", {count} {}", state.to_ascii_lowercase());
        }
    }
    let message = deployment["message"].as_str().unwrap_or_default();
    if !message.is_empty() {
        let _ = write!(row, ": {}", output::printable(message));
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_application_has_its_deployments_below() {
        let application = json!({
            "status": "DEPLOYING",
            "route_prefix": "/math",
            "source": "declarative",
            "message": "waits for a replica of `Adder` to start",
            "deployments": {
                "Adder": {
                    "status": "UPDATING",
                    "target_num_replicas": 3,
                    "message": "",
                    "replicas": [{ "state": "RUNNING" }, { "state": "STARTING" }],
                },
                "Sums": {
                    "status": "HEALTHY",
                    "target_num_replicas": 1,
                    "message": "",
                    "replicas": [{ "state": "RUNNING" }],
                },
            },
        });
        let name = "math".to_owned();
        let shown = table(&[(&name, &application)]);
        insta::assert_snapshot!(anstream::adapter::strip_str(&shown), @r"
        math  DEPLOYING  at /math  declarative
            waits for a replica of `Adder` to start
          Adder  UPDATING      1/3 replicas run, 1 starting
          Sums   HEALTHY       1/1 replicas run
        ");
    }
}
