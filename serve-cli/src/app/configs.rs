//! The commands that check and write configurations of this program: `validate` and `build --config`.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use serde_json::Map;
use serve_core::Runtime;
use serve_core::config::{ApplicationConfig, Config, DeploymentConfig, RoutePrefix};
use serve_core::dynamic::{BuildError, RegisteredApplication, registered};

use super::error::Error;
use super::executor;
use super::select::home;
use crate::suggest::same_package;
use crate::{exit_code, output, remote};

/// Checks a configuration: its keys, and whether this program can run its applications.
pub(super) fn validate(file: &Path) -> Result<u8, Error> {
    let config = remote::read(file)?;
    executor::block_on(async |workers| {
        let (file, count) = (file.to_owned(), config.applications.len());
        let started = workers.run(Runtime::builder().start()).await;
        let runtime = started.map_err(|error| Error::Runtime(std::io::Error::other(error)))?;
        let checked = workers.run(async move { runtime.check(&config) }).await;
        checked.map_err(|error| Error::not_applied(&file, &error))?;
        let applications = match count {
            1 => "1 application".to_owned(),
            several => format!("{several} applications"),
        };
        output::status("Valid", format_args!("{}: {applications}", file.display()));
        Ok(exit_code::OK)
    })
}

/// Writes a configuration with every application of this program, and the options of their
/// deployments. To the file, or to stdout.
pub(super) fn write(file: Option<&Path>) -> Result<u8, Error> {
    let home = home();
    let mut known = registered();
    let of_home = |it: &&RegisteredApplication| {
        home.as_deref().is_none_or(|home| same_package(it.package, home))
    };
    if known.iter().any(of_home) {
        known.retain(|it| of_home(it));
    }
    let (mut config, mut missing) = (Config::default(), Vec::new());
    for application in known {
        match section(application, config.applications.is_empty()) {
            Ok(section) => config.applications.push(section),
            Err(error) => missing.push(format!("{}: {error}", application.full_name())),
        }
    }
    for missing in missing {
        output::warning(format_args!(
            "{missing}: the configuration lacks this application; add it with its `args`"
        ));
    }
    let text = config.to_yaml();
    match file {
        None => output::result(text.trim_end())?,
        Some(file) => {
            let name = || output::name(&file.display().to_string());
            // A configuration that someone has edited is not replaced.
            let written = File::create_new(file).and_then(|mut new| new.write_all(text.as_bytes()));
            written.map_err(|source| match source.kind() {
                ErrorKind::AlreadyExists => Error::FileExists(name()),
                _ => Error::Unwritable { file: name(), source },
            })?;
            output::status("Written", file.display());
        }
    }
    Ok(exit_code::OK)
}

/// Describes an application as its code declares it. The first one has the prefix `/`.
fn section(
    application: &RegisteredApplication,
    is_first: bool,
) -> Result<ApplicationConfig, BuildError> {
    let built = application.build(Map::new())?;
    let mut section = ApplicationConfig::default();
    section.name = application.name.to_owned();
    section.import_path = application.full_name();
    section.route_prefix = RoutePrefix::Path(match is_first {
        true => "/".to_owned(),
        false => format!("/{}", application.name),
    });
    if let Ok(graph) = built.graph() {
        section.deployments = graph
            .deployments
            .into_iter()
            .map(|node| {
                let mut deployment = DeploymentConfig::default();
                deployment.name = node.name;
                deployment.options = node.options;
                deployment.options.name = None;
                deployment
            })
            .collect();
    }
    Ok(section)
}
