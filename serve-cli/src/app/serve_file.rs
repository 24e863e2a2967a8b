//! `run` of a configuration: serves its applications until a signal to stop.

use std::path::Path;
use std::time::Duration;

use serve_core::config::Config;
use serve_core::dynamic::Graph;
use serve_core::status::ApplicationStatus;
use tokio::time::sleep;

use super::error::Error;
use super::node::Node;
use super::progress;
use crate::output;
use crate::remote::failure;

/// The period at which the status is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Deploys the applications of a configuration, and meanwhile reports what the deploys wait for.
/// Returns their graphs once all of them run.
pub(super) async fn deploy(
    node: &Node<'_>,
    file: &Path,
    config: Config,
) -> Result<Vec<Graph>, Error> {
    let names: Vec<String> = config.applications.iter().map(|it| it.name.clone()).collect();
    let runtime = node.runtime().clone();
    let applied = node.workers().run(async move { runtime.apply(&config).await }).await;
    applied.map_err(|error| Error::not_applied(file, &error))?;
    for name in &names {
        tokio::select! {
            () = settled(node, name) => {}
            never = progress::report(node.runtime(), name) => match never {},
        }
    }
    let status = node.runtime().status();
    let failures: Vec<String> = names
        .iter()
        .filter_map(|name| {
            let details = status.application(name)?;
            let failed = details.status == ApplicationStatus::DeployFailed;
            failed.then(|| failure(name, &details.message))
        })
        .collect();
    if !failures.is_empty() {
        return Err(Error::FileNotDeployed {
            file: output::name(&file.display().to_string()),
            failures: output::printable(&failures.join("\n")),
        });
    }
    Ok(names.iter().filter_map(|name| node.runtime().graph(name)).collect())
}

/// Waits until the deploy of an application has ended.
async fn settled(node: &Node<'_>, name: &str) {
    loop {
        let status = node.runtime().status().application(name).map(|it| it.status);
        use ApplicationStatus::{Deploying, NotStarted};
        if !matches!(status, None | Some(Deploying | NotStarted)) {
            return;
        }
        sleep(LOOK).await;
    }
}
