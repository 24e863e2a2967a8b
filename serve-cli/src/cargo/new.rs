//! `cargo serve new`: creates a package to start from.
//!
//! `cargo new` creates the package, so that it checks the name and handles the workspace and
//! version control as usual. This command adds the example and its dependencies.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, InlineTable, Value};

use super::command_line::NewArguments;
use super::error::{Error, WRITE};
use super::relative_path::relative_path;
use super::workspace::SERVE_CORE;
use super::{build, serve_clone};
use crate::{exit_code, output};

const LIBRARY: &str = include_str!("../../templates/lib.rs");

/// The version of Serve that this command belongs to, in the usual form of a dependency: `0.1`,
/// not `0.1.0`.
const SERVE_VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));

/// Writes the package.
pub(crate) fn run(arguments: &NewArguments) -> Result<u8, Error> {
    let directory = std::path::absolute(&arguments.directory)
        .map_err(Error::file("find", &arguments.directory))?;
    if directory.exists() {
        return Err(Error::Exists {
            path: arguments.directory.clone(),
            help: "choose another directory; nothing was written".to_owned(),
        });
    }
    let clone = clone(arguments, &directory)?;

    let status = build::cargo()
        .args(["new", "--quiet", "--lib"])
        .args(arguments.name.iter().map(|name| format!("--name={name}")))
        .arg(&directory)
        .status()
        .map_err(Error::NoCargo)?;
    if !status.success() {
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        return Err(Error::New { code: code.unwrap_or(exit_code::FAILED) });
    }

    let manifest = directory.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(Error::file("read", &manifest))?;
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        Error::Manifest { path: manifest.clone(), source: Box::new(error) }
    })?;
    add_dependencies(&mut document, serve_core(clone.as_deref(), &directory));
    fs::write(&manifest, document.to_string()).map_err(Error::file(WRITE, &manifest))?;

    let package = document["package"]["name"].as_str().unwrap_or_default();
    let library = directory.join("src").join("lib.rs");
    let source = LIBRARY.replace("{{package}}", package);
    fs::write(&library, source).map_err(Error::file(WRITE, &library))?;

    output::status("Created", format_args!("the package `{package}`. Next:"));
    output::note(next_steps(&arguments.directory, clone.is_some()));
    Ok(exit_code::OK)
}

/// Returns the commands that run the new package.
fn next_steps(directory: &Path, has_clone: bool) -> String {
    let literal = output::LITERAL;
    let step = |words: fmt::Arguments<'_>| format!("\n  {literal}{words}{literal:#}");
    let enter = step(format_args!("cd {}", output::printable(&directory.display().to_string())));
    let run = step(format_args!("cargo serve run"));
    if has_clone {
        return format!("{enter}{run}\n");
    }
    let depend = step(format_args!("{SERVE_CORE} = {{ path = \"DIRECTORY/{SERVE_CORE}\" }}"));
    format!(
        "{enter}\n\nServe is on no registry yet. In Cargo.toml, depend on a clone of it \
         (`--path DIRECTORY` does that):\n{depend}\n\nThen:\n{run}\n"
    )
}

/// Returns the clone of Serve to depend on: the named one, the one around the new package, or the
/// one that this command was built from.
fn clone(arguments: &NewArguments, directory: &Path) -> Result<Option<PathBuf>, Error> {
    match &arguments.path {
        Some(path) if serve_clone::is_clone(path) => {
            std::path::absolute(path).map(Some).map_err(Error::file("find", path))
        }
        Some(path) => Err(Error::NotAClone { path: path.clone() }),
        None => Ok(serve_clone::find(directory)),
    }
}

fn serve_core(clone: Option<&Path>, directory: &Path) -> Value {
    match clone {
        None => Value::from(SERVE_VERSION),
        Some(clone) => {
            let path = relative_path(&clone.join(SERVE_CORE), directory);
            InlineTable::from_iter([("path", path)]).into()
        }
    }
}

fn add_dependencies(manifest: &mut DocumentMut, serve_core: Value) {
    let dependencies = &mut manifest["dependencies"];
    dependencies[SERVE_CORE] = serve_core.into();
    dependencies["schemars"] = toml_edit::value("1");
    dependencies["serde"] = with_features("1", &["derive"]);
    let mut for_tests = toml_edit::Table::new();
    for_tests["tokio"] = with_features("1", &["macros", "rt", "test-util"]);
    manifest["dev-dependencies"] = for_tests.into();
}

fn with_features(version: &str, features: &[&str]) -> toml_edit::Item {
    let features: toml_edit::Array = features.iter().copied().collect();
    let table =
        InlineTable::from_iter([("version", Value::from(version)), ("features", features.into())]);
    toml_edit::value(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_added_to_what_cargo_wrote() {
        let mut manifest: DocumentMut = "\
[package]
name = \"hello\"
version = \"0.1.0\"
edition = \"2024\"

[dependencies]
"
        .parse()
        .expect("a manifest");
        add_dependencies(
            &mut manifest,
            serve_core(Some(Path::new("/work/serve")), Path::new("/work/hello")),
        );
        insta::assert_snapshot!(manifest.to_string(), @r#"
        [package]
        name = "hello"
        version = "0.1.0"
        edition = "2024"

        [dependencies]
        serve-core = { path = "../serve/serve-core" }
        schemars = "1"
        serde = { version = "1", features = ["derive"] }

        [dev-dependencies]
        tokio = { version = "1", features = ["macros", "rt", "test-util"] }
        "#);
    }

    #[test]
    fn without_a_clone_it_says_what_to_write() {
        let shown = next_steps(Path::new("hola"), false);
        insta::assert_snapshot!(anstream::adapter::strip_str(&shown), @r#"

          cd hola

        Serve is on no registry yet. In Cargo.toml, depend on a clone of it (`--path DIRECTORY` does that):

          serve-core = { path = "DIRECTORY/serve-core" }

        Then:

          cargo serve run
        "#);
    }
}
