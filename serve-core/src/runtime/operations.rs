//! [`InstanceOperations`]: the admin port's view of a running instance, and its way to change it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::configuration::{self, ApplyError};
use super::control_plane::ControlPlane;
use crate::admin::{ChangeView, ConfigView, Effect, Fault, Instance, Operations, Refusal};
use crate::config::{Config, ConfigChange, ConfigDiff, ConfigFault, ConfigFaults};
use crate::controller::{
    AppliedConfiguration, ChangeOrigin, ConfigurationError, DeployEffect, DeployError,
};

/// The target of the events of the audit log.
const AUDIT: &str = "serve::audit";

/// A running instance, as the admin port uses it.
#[derive(Debug)]
pub(super) struct InstanceOperations {
    pub(super) plane: Arc<ControlPlane>,
    /// The configuration with which the process was started. Its applications do not count.
    pub(super) process: Config,
    pub(super) http: Option<SocketAddr>,
    pub(super) node_id: String,
    /// Set once someone asks the program to shut down.
    pub(super) shutdown_requested: watch::Sender<bool>,
}

impl InstanceOperations {
    /// Returns the configuration in effect.
    fn current(&self) -> Config {
        let applied = self.plane.changes(|changes| changes.configuration.clone());
        let applied = applied.and_then(|applied| Config::from_value(&applied.document).ok());
        let mut current = self.process.clone();
        let applied = applied.unwrap_or_default();
        current.applications = applied.applications;
        current.target_capacity = applied.target_capacity;
        current
    }

    /// Reads a configuration, which may not change what only a restart can change.
    fn read(&self, body: &[u8]) -> Result<Config, Refusal> {
        let config = Config::parse_json(body).map_err(|faults| invalid(&faults))?;
        for note in config.notes() {
            tracing::info!(target: AUDIT, "a configuration has a key without effect: {note}");
        }
        let differs = self.differences(&config);
        match ConfigFaults::of_all(differs) {
            Some(faults) => {
                let mut refusal = invalid(&faults);
                (refusal.status, refusal.code) = (409, "needs_restart");
                Err(refusal)
            }
            None => Ok(config),
        }
    }

    /// Returns the settings of a configuration that only a restart can change.
    fn differences(&self, config: &Config) -> Vec<ConfigFault> {
        // Ray's tools send this section with every file, and Ray ignores changes of it.
        if config.has("http_options") {
            let section = ConfigDiff::between(&self.process, config);
            let ignored = section.changes.iter().any(|change| is_below("http", change));
            if ignored {
                tracing::warn!(
                    target: AUDIT,
                    "the section `http_options` of a configuration has no effect until a restart"
                );
            }
        }
        let mut asked = self.process.clone();
        let mut sections = Vec::new();
        if config.has("http") {
            let mut http = self.process.http.clone();
            http.host = config.http.host.or(http.host);
            http.port = config.http.port.or(http.port);
            http.options = http.options.overridden_by(&config.http.options);
            asked.http = http;
            sections.push("http");
        }
        if config.has("admin") {
            let admin = &config.admin;
            asked.admin.host = admin.host.or(asked.admin.host);
            asked.admin.port = admin.port.or(asked.admin.port);
            asked.admin.token = admin.token.clone().or(asked.admin.token);
            sections.push("admin");
        }
        if config.has("logging") {
            asked.logging.level = config.logging.level.clone().or(asked.logging.level);
            asked.logging.format = config.logging.format.or(asked.logging.format);
            sections.push("logging");
        }
        let diff = ConfigDiff::between(&self.process, &asked);
        let of_process = |change: &&ConfigChange| sections.iter().any(|it| is_below(it, change));
        let fault = |change: &ConfigChange| {
            let ConfigChange::Value { path, .. } = change else { return config.fault("", "") };
            let message = format!(
                "needs a restart: the process runs with another value ({}); start it with this \
                 configuration, or leave the key out",
                change.to_string().trim_start_matches("~ ")
            );
            config.fault(path, &message)
        };
        diff.changes.iter().filter(of_process).map(fault).collect()
    }

    fn origin(by: &str, what: String, expected: Option<u64>) -> ChangeOrigin {
        ChangeOrigin { by: by.to_owned(), what, expected, command: rand::random() }
    }

    async fn apply(
        &self,
        config: &Config,
        what: &str,
        by: &str,
        expected: Option<u64>,
    ) -> Result<u64, Refusal> {
        let diff = ConfigDiff::between(&self.current(), config);
        let applications = diff.changes.iter().filter(|change| !is_of_the_process(change));
        let mut changes: Vec<String> = applications.map(ToString::to_string).collect();
        if changes.is_empty() {
            changes.push("nothing differs".to_owned());
        }
        let summary = format!("{what}: {}", changes.join("; "));
        let origin = Self::origin(by, summary.clone(), expected);
        let applied = configuration::apply(&self.plane, config, origin).await;
        match applied {
            Ok(revision) => {
                tracing::info!(target: AUDIT, by, revision, "{summary}");
                Ok(revision)
            }
            Err(error) => Err(refused(error)),
        }
    }

    /// Returns an earlier configuration.
    fn earlier(&self, to: Option<u64>) -> Result<(u64, AppliedConfiguration), Refusal> {
        self.plane.changes(|changes| {
            let mut applied = changes
                .last()
                .rev()
                .filter_map(|change| Some((change.revision, change.configuration.clone()?)));
            let found = match to {
                Some(revision) => applied.find(|(known, _)| *known == revision),
                None => applied.nth(1),
            };
            found.ok_or_else(|| {
                let message = match to {
                    Some(revision) => format!(
                        "revision {revision} is not a configuration that is still known; \
                         `cargo serve config --history`, or GET /api/v1/config/history, lists them"
                    ),
                    None => "there is no configuration before the current one".to_owned(),
                };
                Refusal::new(404, "unknown_revision", message)
            })
        })
    }
}

fn is_below(section: &str, change: &ConfigChange) -> bool {
    match change {
        ConfigChange::Value { application: None, path, .. } => {
            path.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        }
        _ => false,
    }
}

fn is_of_the_process(change: &ConfigChange) -> bool {
    ["http", "admin", "logging"].iter().any(|section| is_below(section, change))
}

fn invalid(faults: &ConfigFaults) -> Refusal {
    let fault = |fault: &ConfigFault| Fault {
        message: fault.message().to_owned(),
        path: fault.path().to_owned(),
        line: fault.line(),
        column: fault.column(),
    };
    let faults: Vec<Fault> = faults.iter().map(fault).collect();
    let message = match &*faults {
        [only] => only.message.clone(),
        several => format!("the configuration has {} faults", several.len()),
    };
    Refusal { faults, ..Refusal::new(400, "invalid_config", message) }
}

fn refused(error: ApplyError) -> Refusal {
    match error {
        ApplyError::Faults(faults) => invalid(&faults),
        ApplyError::Refused(error) => refusal(&error),
        ApplyError::Unreadable { .. } => Refusal::new(500, "internal", error.to_string()),
    }
}

fn refusal(error: &ConfigurationError) -> Refusal {
    let (status, code) = match error {
        ConfigurationError::Refused(refused) => match refused.first() {
            Some(DeployError::UnknownApplication(_)) => (404, "unknown_application"),
            Some(DeployError::UnknownDeployment { .. }) => (404, "unknown_deployment"),
            _ => (400, "invalid_config"),
        },
        ConfigurationError::RevisionConflict { .. } => (412, "revision_conflict"),
        ConfigurationError::ExternalScalerDisabled(_) => (412, "external_scaler_disabled"),
        ConfigurationError::Deleting(_) => (412, "deleting"),
        ConfigurationError::ShutDown => (503, "shut_down"),
    };
    Refusal::new(status, code, error.to_string())
}

impl Operations for InstanceOperations {
    fn instance(&self) -> Instance {
        let (revision, target_capacity) = self.plane.changes(|changes| {
            let capacity = changes.configuration.as_ref().and_then(|it| it.capacity.percent);
            (changes.revision(), capacity)
        });
        Instance {
            node_id: self.node_id.clone(),
            http: self.http,
            applications: self.plane.overview(),
            target_capacity,
            revision,
        }
    }

    fn config(&self) -> ConfigView {
        let current = self.current();
        ConfigView {
            revision: self.plane.changes(|changes| changes.revision()),
            config: json!(current.redacted()),
            yaml: current.to_yaml(),
        }
    }

    fn history(&self) -> Vec<ChangeView> {
        let clock = *self.plane.clock();
        self.plane.changes(|changes| {
            let view = |change: &crate::controller::ChangeRecord| ChangeView {
                revision: change.revision,
                at: clock
                    .system_time(change.at)
                    .map(|at| humantime::format_rfc3339_millis(at).to_string()),
                by: change.by.clone(),
                what: change.what.clone(),
                is_configuration: change.configuration.is_some(),
            };
            changes.last().map(view).collect()
        })
    }

    fn put(
        &self,
        body: Bytes,
        by: String,
        expected: Option<u64>,
    ) -> BoxFuture<'_, Result<u64, Refusal>> {
        Box::pin(async move {
            let config = self.read(&body)?;
            self.apply(&config, "deploy", &by, expected).await
        })
    }

    fn diff(&self, body: Bytes) -> BoxFuture<'_, Result<Vec<Effect>, Refusal>> {
        Box::pin(async move {
            let config = self.read(&body)?;
            let capacity = configuration::capacity_now(&self.plane, &config);
            let plans = configuration::plans(&self.plane, &config, capacity)
                .map_err(|faults| invalid(&faults))?;
            // Without the option, a number that `scale` has set is given up.
            let scalable: BTreeSet<String> = plans
                .iter()
                .filter(|plan| plan.external_scaler_enabled)
                .map(|plan| plan.application.clone())
                .collect();
            let diff = ConfigDiff::between(&self.current(), &config);
            let effects = self.plane.effects(plans);
            let mut effects: Vec<Effect> =
                effects.into_iter().map(|effect| described(effect, &diff)).collect();
            for (name, overview) in self.plane.overview() {
                for deployment in overview.deployments {
                    let Some(replicas) = deployment.scaled else { continue };
                    let concerned = effects.iter_mut().find(|effect| {
                        effect.application == name
                            && effect.deployment.as_ref() == Some(&deployment.name)
                    });
                    if let Some(effect) = concerned {
                        let said = match scalable.contains(&name) {
                            true => format!("num_replicas stays {replicas}, as `scale` has set it"),
                            false => {
                                format!(
                                    "num_replicas is no longer {replicas}, as `scale` has set it"
                                )
                            }
                        };
                        effect.changes.push(said);
                    }
                }
            }
            Ok(effects)
        })
    }

    fn rollback(
        &self,
        to: Option<u64>,
        by: String,
        expected: Option<u64>,
    ) -> BoxFuture<'_, Result<u64, Refusal>> {
        Box::pin(async move {
            let (revision, applied) = self.earlier(to)?;
            let config =
                Config::from_value(&applied.document).map_err(|faults| invalid(&faults))?;
            let what = format!("roll back to revision {revision}");
            self.apply(&config, &what, &by, expected).await
        })
    }

    fn scale(
        &self,
        application: String,
        deployment: String,
        replicas: usize,
        by: String,
        expected: Option<u64>,
    ) -> BoxFuture<'_, Result<u64, Refusal>> {
        Box::pin(async move {
            let what = format!("scale `{deployment}` of `{application}` to {replicas} replicas");
            let origin = Self::origin(&by, what.clone(), expected);
            let revision = self
                .plane
                .scale(origin, &application, &deployment, replicas)
                .await
                .map_err(|error| refusal(&error))?;
            tracing::info!(target: AUDIT, by, revision, "{what}");
            Ok(revision)
        })
    }

    fn delete(
        &self,
        application: Option<String>,
        by: String,
    ) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let names = match application {
                Some(name) => vec![name],
                None => self.plane.status().applications.into_keys().collect(),
            };
            let what = format!("delete `{}`", names.join("`, `"));
            let delete = |name: String| {
                let origin = Self::origin(&by, format!("delete `{name}`"), None);
                async move { self.plane.delete(origin, &name).await }
            };
            for deleted in futures::future::join_all(names.into_iter().map(delete)).await {
                deleted.map_err(|error| refusal(&ConfigurationError::Refused(vec![error])))?;
            }
            tracing::info!(target: AUDIT, by, "{what}");
            Ok(())
        })
    }

    fn shut_down(&self, by: String) {
        tracing::info!(target: AUDIT, by, "shut down");
        self.shutdown_requested.send_replace(true);
    }
}

/// Describes an effect, with the changes that lead to it.
fn described(
    (application, deployment, effect): (String, Option<String>, DeployEffect),
    diff: &ConfigDiff,
) -> Effect {
    let concerns = |change: &&ConfigChange| match change {
        ConfigChange::Value { application: Some(of), deployment: part, .. } => {
            *of == application && (part.is_none() || *part == deployment)
        }
        _ => false,
    };
    let said = |change: &ConfigChange| match change {
        ConfigChange::Value { path, from, to, .. } => {
            let text = |value: &Option<Value>| match value {
                Some(value) => value.to_string(),
                None => "not set".to_owned(),
            };
            format!("{path}: {} -> {}", text(from), text(to))
        }
        other => other.to_string(),
    };
    let changes = diff.changes.iter().filter(concerns).map(said).collect();
    Effect { application, deployment, effect, changes }
}
