//! [`ConfigDiff`]: the differences of two configurations, for people.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::data::{ApplicationConfig, Config, DeploymentConfig};
use super::node::below;
use super::write::{Part, Written};
use crate::deployment::{OPTIONS, OnUpdate};

/// The differences of two configurations.
///
/// Secrets are compared and not shown. The differences are those of the configurations alone: what
/// the declarations of the deployments say does not count.
///
/// ```
/// use serve_core::config::{Config, ConfigDiff};
///
/// let old = "{ applications: [{ import_path: a:a, deployments: [{ name: A, num_replicas: 1 }] }] }";
/// let new = old.replace("num_replicas: 1", "num_replicas: 4");
/// let parse = |text| Config::parse(text, "serve.yaml", &|_| None);
/// let diff = ConfigDiff::between(&parse(old)?, &parse(&new)?);
/// assert_eq!(diff.to_string(), "~ default / A: num_replicas: 1 -> 4");
/// # Ok::<(), serve_core::config::ConfigFaults>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ConfigDiff {
    /// The differences: first of the sections, then of the applications by name.
    pub changes: Vec<ConfigChange>,
}

/// A difference of two configurations.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConfigChange {
    /// An application that only the new configuration has.
    ApplicationAdded {
        /// The name of the application.
        application: String,
        /// The registered application.
        import_path: String,
    },
    /// An application that only the old configuration has.
    ApplicationRemoved {
        /// The name of the application.
        application: String,
    },
    /// A value that differs.
    Value {
        /// The name of the application; `None` for a section of the configuration.
        #[serde(skip_serializing_if = "Option::is_none")]
        application: Option<String>,
        /// The name of the deployment; `None` for a value of the application itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        deployment: Option<String>,
        /// The keys that lead to the value, such as `num_replicas` or `args.language`.
        path: String,
        /// The old value, if it was set; without secrets.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<Value>,
        /// The new value, if it is set; without secrets.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<Value>,
    },
}

impl ConfigChange {
    /// Returns the effect of the change on the running replicas of its deployment, if it is a change
    /// of a deployment's option.
    #[must_use]
    #[doc(hidden)]
    pub fn on_update(&self) -> Option<OnUpdate> {
        let Self::Value { deployment: Some(_), path, .. } = self else { return None };
        let first = path.split(['.', '[']).next().unwrap_or_default();
        OPTIONS.iter().find(|option| option.name == first).map(|option| option.on_update)
    }
}

impl ConfigDiff {
    /// Compares two configurations.
    #[must_use]
    pub fn between(old: &Config, new: &Config) -> Self {
        let mut changes = Vec::new();
        let mut sections = Changes { changes: &mut changes, application: None, deployment: None };
        sections.parts(
            "http",
            (&old.http, &old.redacted().http),
            (&new.http, &new.redacted().http),
        );
        sections.parts(
            "admin",
            (&old.admin, &old.redacted().admin),
            (&new.admin, &new.redacted().admin),
        );
        sections.parts("logging", (&old.logging, &old.logging), (&new.logging, &new.logging));
        let capacity = |config: &Config| config.target_capacity.map(Value::from);
        let (from, to) = (capacity(old), capacity(new));
        if from != to {
            sections.push("target_capacity", from, to);
        }
        let mut names: Vec<&str> = Vec::new();
        for application in old.applications.iter().chain(&new.applications) {
            names.push(&application.name);
        }
        names.sort_unstable();
        names.dedup();
        for name in names {
            match (old.application(name), new.application(name)) {
                (Some(_), None) => {
                    changes.push(ConfigChange::ApplicationRemoved { application: name.to_owned() });
                }
                (None, Some(added)) => changes.push(ConfigChange::ApplicationAdded {
                    application: name.to_owned(),
                    import_path: added.import_path.clone(),
                }),
                (Some(old), Some(new)) => compare_applications(&mut changes, old, new),
                (None, None) => {}
            }
        }
        Self { changes }
    }

    /// True if the configurations are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

fn compare_applications(
    changes: &mut Vec<ConfigChange>,
    old: &ApplicationConfig,
    new: &ApplicationConfig,
) {
    let name = Some(&*old.name);
    // The deployments are compared by name.
    let alone = |application: &ApplicationConfig| ApplicationConfig {
        deployments: Vec::new(),
        ..application.clone()
    };
    let (old_alone, new_alone) = (alone(old), alone(new));
    Changes { changes, application: name, deployment: None }.parts(
        "",
        (&old_alone, &old_alone.redacted()),
        (&new_alone, &new_alone.redacted()),
    );
    let mut names: Vec<&str> = Vec::new();
    for deployment in old.deployments.iter().chain(&new.deployments) {
        names.push(&deployment.name);
    }
    names.sort_unstable();
    names.dedup();
    for deployment in names {
        let none = DeploymentConfig { name: deployment.to_owned(), ..DeploymentConfig::default() };
        let old = old.deployment(deployment).unwrap_or(&none);
        let new = new.deployment(deployment).unwrap_or(&none);
        Changes { changes, application: name, deployment: Some(deployment) }.parts(
            "",
            (old, &old.redacted()),
            (new, &new.redacted()),
        );
    }
}

/// Collects the differences of a part of two configurations.
struct Changes<'c> {
    changes: &'c mut Vec<ConfigChange>,
    application: Option<&'c str>,
    deployment: Option<&'c str>,
}

impl Changes<'_> {
    /// Compares two parts, each of which comes with its redacted form.
    fn parts<P: Part>(&mut self, path: &str, old: (&P, &P), new: (&P, &P)) {
        let value = |part: &P| Written::of(part).value();
        let shown = (Some(value(old.1)), Some(value(new.1)));
        self.values(
            path,
            (Some(&value(old.0)), Some(&value(new.0))),
            (shown.0.as_ref(), shown.1.as_ref()),
        );
    }

    fn values(
        &mut self,
        path: &str,
        (old, new): (Option<&Value>, Option<&Value>),
        (old_shown, new_shown): (Option<&Value>, Option<&Value>),
    ) {
        if old == new {
            return;
        }
        let empty = Map::new();
        let map = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
        let maps = (map(old), map(new));
        if let (Some(old), Some(new)) = maps {
            let (old_shown, new_shown) =
                (map(old_shown).unwrap_or_else(|| empty.clone()), map(new_shown).unwrap_or(empty));
            let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                self.values(
                    &below(path, key),
                    (old.get(key), new.get(key)),
                    (old_shown.get(key), new_shown.get(key)),
                );
            }
            return;
        }
        self.push(path, old_shown.cloned(), new_shown.cloned());
    }

    fn push(&mut self, path: &str, from: Option<Value>, to: Option<Value>) {
        self.changes.push(ConfigChange::Value {
            application: self.application.map(str::to_owned),
            deployment: self.deployment.map(str::to_owned),
            path: path.to_owned(),
            from,
            to,
        });
    }
}

impl fmt::Display for ConfigDiff {
    /// Writes one line for each difference.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, change) in self.changes.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{change}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigChange {
    /// Writes one line: `+`, `-` or `~`, and the difference.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApplicationAdded { application, import_path } => {
                write!(f, "+ {application} ({import_path})")
            }
            Self::ApplicationRemoved { application } => write!(f, "- {application}"),
            Self::Value { application, deployment, path, from, to } => {
                f.write_str("~ ")?;
                match (application, deployment) {
                    (Some(application), Some(deployment)) => {
                        write!(f, "{application} / {deployment}: ")?;
                    }
                    (Some(application), None) => write!(f, "{application}: ")?,
                    _ => {}
                }
                write!(f, "{path}: ")?;
                match (from, to) {
                    (Some(from), Some(to)) if from == to => f.write_str("changed"),
                    (Some(from), Some(to)) => write!(f, "{from} -> {to}"),
                    (None, Some(to)) => write!(f, "not set -> {to}"),
                    (Some(from), None) => write!(f, "{from} -> not set"),
                    (None, None) => Ok(()),
                }
            }
        }
    }
}
