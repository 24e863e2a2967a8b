//! The configuration of a running instance: how the applications of a [`Config`] are built and
//! deployed.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use thiserror::Error;

use super::control_plane::ControlPlane;
use crate::application::{
    AnyApplication, BuildError, Configured, GraphError, Plan, RegisteredApplication, registered,
};
use crate::call::pending::panic_message;
use crate::config::{ApplicationConfig, Config, ConfigFault, ConfigFaults, RoutePrefix};
use crate::controller::{AppliedConfiguration, ChangeOrigin, ConfigurationError, DeployError};
use crate::deployment::TargetCapacity;

/// The error of a configuration that was not applied. Nothing was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", .path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The configuration has faults, of which each is listed with its place.
    #[error(transparent)]
    Faults(#[from] ConfigFaults),
    /// The running instance refuses the change.
    #[error(transparent)]
    Refused(#[from] ConfigurationError),
}

/// Reads a file, with the variables of the environment.
pub(super) fn read(path: &Path) -> Result<Config, ApplyError> {
    let text = std::fs::read(path)
        .map_err(|source| ApplyError::Unreadable { path: path.to_owned(), source })?;
    let name = path.display().to_string();
    Ok(Config::parse_bytes(&text, &name, &|variable| std::env::var(variable).ok())?)
}

/// Applies a configuration. Returns the revision.
pub(super) async fn apply(
    plane: &ControlPlane,
    config: &Config,
    origin: ChangeOrigin,
) -> Result<u64, ApplyError> {
    let before = plane.changes(|changes| changes.configuration.clone());
    let capacity = capacity(config, before.as_ref());
    let plans = plans(plane, config, capacity)?;
    let applied = AppliedConfiguration { document: document(config).into(), capacity };
    let refused = match plane.apply(origin, applied, plans).await {
        Ok(revision) => return Ok(revision),
        Err(ConfigurationError::Refused(refused)) => refused,
        Err(other) => return Err(other.into()),
    };
    let fault = |error: &DeployError| match error {
        DeployError::RouteTaken { application, .. } => {
            let place = config.applications.iter().position(|it| it.name == *application);
            let path = format!("applications[{}].route_prefix", place.unwrap_or_default());
            config.fault(&path, &error.to_string())
        }
        _ => config.fault("applications", &error.to_string()),
    };
    let faults: Vec<ConfigFault> = refused.iter().map(fault).collect();
    Err(match ConfigFaults::of_all(faults) {
        Some(faults) => faults.into(),
        None => ConfigurationError::Refused(refused).into(),
    })
}

/// Returns the part of a configuration that can be applied again: its applications and the target
/// capacity.
pub(super) fn document(config: &Config) -> Value {
    let mut document = json!({ "applications": config.applications });
    if let Some(capacity) = config.target_capacity {
        document["target_capacity"] = json!(capacity);
    }
    document
}

/// Returns the capacity with which a configuration runs after another one.
fn capacity(config: &Config, before: Option<&AppliedConfiguration>) -> TargetCapacity {
    let names = |document: &Value| {
        let applications = document["applications"].as_array();
        let names = applications.into_iter().flatten().map(|it| it["name"].clone().to_string());
        names.collect::<BTreeSet<String>>()
    };
    let same = before.is_some_and(|before| names(&before.document) == names(&document(config)));
    TargetCapacity::after(before.map(|before| before.capacity), same, config.target_capacity)
}

/// Returns the capacity with which a configuration would run now.
pub(super) fn capacity_now(plane: &ControlPlane, config: &Config) -> TargetCapacity {
    let before = plane.changes(|changes| changes.configuration.clone());
    capacity(config, before.as_ref())
}

/// Builds and checks the applications of a configuration.
///
/// # Errors
/// Returns the faults of all applications.
pub(super) fn plans(
    plane: &ControlPlane,
    config: &Config,
    capacity: TargetCapacity,
) -> Result<Vec<Plan>, ConfigFaults> {
    let (mut plans, mut faults) = (Vec::new(), Vec::new());
    for (place, application) in config.applications.iter().enumerate() {
        let path = format!("applications[{place}]");
        let planned = build(application, capacity)
            .map_err(|(key, message)| (format!("{path}.{key}"), message))
            .and_then(|built| {
                plane.plan(&built).map_err(|error| {
                    (format!("{path}.{}", key_of(&error, application)), error.to_string())
                })
            });
        match planned {
            Ok(plan) => plans.push(plan),
            Err((path, message)) => faults.push(config.fault(&path, &message)),
        }
    }
    match ConfigFaults::of_all(faults) {
        Some(faults) => Err(faults),
        None => Ok(plans),
    }
}

/// Builds an application. The error has the key that it concerns.
fn build(
    config: &ApplicationConfig,
    capacity: TargetCapacity,
) -> Result<AnyApplication, (String, String)> {
    let known = registered();
    let Some(application) = known.iter().find(|it| it.full_name() == config.import_path) else {
        return Err(("import_path".to_owned(), unknown(&config.import_path, &known)));
    };
    if let Some((key, message)) = unknown_argument(application, config) {
        return Err((format!("args.{key}"), message));
    }
    let of = |key: &str, message: String| (key.to_owned(), message);
    // The user's function may panic.
    let arguments = config.args.clone();
    let built = catch_unwind(|| application.build(arguments))
        .map_err(|panic| of("import_path", format!("panicked: {}", panic_message(&*panic))))?;
    let mut built = built.map_err(|error| match error {
        BuildError::NoArguments(_) | BuildError::Argument(_) => of("args", error.to_string()),
        BuildError::Failed(_) => of("import_path", error.to_string()),
    })?;
    built = built.name(&config.name);
    match &config.route_prefix {
        RoutePrefix::OfTheApplication => {}
        RoutePrefix::None => built.route_prefix = None,
        RoutePrefix::Path(prefix) => built = built.route_prefix(prefix),
    }
    built.http_options = built.http_options.overridden_by(&config.http);
    built.external_scaler_enabled |= config.external_scaler_enabled;
    let overrides = config.deployments.iter().map(|it| (it.name.clone(), it.options.clone()));
    built.configured = Some(Box::new(Configured {
        overrides: overrides.collect(),
        capacity,
        section: json!(config.redacted()),
    }));
    Ok(built)
}

/// Returns the first argument that the application does not take, and why it is refused. Checked
/// against the schema, since deserialization ignores unknown keys unless a type denies them.
fn unknown_argument(
    application: &RegisteredApplication,
    config: &ApplicationConfig,
) -> Option<(String, String)> {
    let schema = application.argument_schema()?;
    let properties = schema.get("properties")?.as_object()?;
    // A map, or one of several shapes, may take other keys.
    let open = ["additionalProperties", "patternProperties", "allOf", "anyOf", "oneOf", "$ref"];
    if open.iter().any(|key| !matches!(schema.get(key), None | Some(Value::Bool(false)))) {
        return None;
    }
    let unknown = config.args.keys().find(|key| !properties.contains_key(*key))?;
    let names: Vec<&str> = properties.keys().map(String::as_str).collect();
    let message = match nearest(unknown, names.iter().copied()) {
        Some(near) => format!("unknown argument; did you mean `{near}`?"),
        None => format!("unknown argument; the application takes `{}`", names.join("`, `")),
    };
    Some((unknown.clone(), message))
}

/// Returns the name that is nearest to a word, if it is near.
fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    names
        .map(|name| (strsim::damerau_levenshtein(name, word), name))
        .filter(|(distance, name)| *distance <= name.len() / 3)
        .min()
        .map(|(_, name)| name)
}

fn unknown(import_path: &str, known: &[&RegisteredApplication]) -> String {
    let names: Vec<String> = known.iter().map(|it| it.full_name()).collect();
    let near = nearest(import_path, names.iter().map(String::as_str));
    let has = match &*names {
        [] => "it has none".to_owned(),
        names => format!("it has `{}`", names.join("`, `")),
    };
    let near = near.map_or_else(|| ".".to_owned(), |name| format!("; did you mean `{name}`?"));
    format!(
        "this program has no application `{import_path}`: {has}{near} An application is a function \
         marked `#[application]` in a package that the program is linked with"
    )
}

/// Returns the key of an application's section that a refused deploy is about.
fn key_of(error: &DeployError, application: &ApplicationConfig) -> String {
    let of_deployment = |name: &str, key: &str| {
        let place = application.deployments.iter().position(|it| it.name == name);
        match place {
            Some(place) => format!("deployments[{place}]{key}"),
            None => "import_path".to_owned(),
        }
    };
    match error {
        DeployError::Graph(error) => match error {
            GraphError::ApplicationName(_) => "name".to_owned(),
            GraphError::RoutePrefix(_) => "route_prefix".to_owned(),
            GraphError::Options { deployment, .. } => of_deployment(deployment, ""),
            GraphError::UserConfig { deployment, .. } => of_deployment(deployment, ".user_config"),
            GraphError::UnknownDeployment { deployment, .. } => of_deployment(deployment, ".name"),
            GraphError::ScaledTwice { .. } => "external_scaler_enabled".to_owned(),
            GraphError::HttpOptions(_) => "http".to_owned(),
            GraphError::DuplicateName { .. } => "import_path".to_owned(),
        },
        DeployError::RequestRouter { deployment, .. }
        | DeployError::NeverFits { deployment, .. } => of_deployment(deployment, ""),
        _ => "import_path".to_owned(),
    }
}
