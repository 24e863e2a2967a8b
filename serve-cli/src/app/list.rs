//! `list`: lists the applications in this program.

use std::env;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use serve_core::dynamic::{RegisteredApplication, registered};

use super::error::Error;
use super::select;
use crate::arguments::ListArguments;
use crate::exit_code;
use crate::output::{self, FAINT, NAME};

/// An application in the JSON output.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    name: String,
    package: &'a str,
    application: &'a str,
    doc: &'a str,
    file: &'a str,
    line: u32,
    /// The JSON schema of the application's argument; null if it takes none.
    argument: Option<Value>,
}

/// Lists the applications, those of the current package first.
pub(super) fn run(arguments: &ListArguments) -> Result<u8, Error> {
    let home = select::home();
    let mut applications = registered();
    applications.sort_by_key(|application| home.as_deref() != Some(application.package));
    if arguments.json {
        let entries: Vec<_> = applications.iter().map(|application| entry(application)).collect();
        output::result(serde_json::to_string_pretty(&entries).map_err(Error::Json)?)?;
        return Ok(exit_code::OK);
    }
    if applications.is_empty() {
        return Err(Error::NoApplications { package: home.unwrap_or_default() });
    }
    for application in applications {
        output::result(described(application))?;
    }
    Ok(exit_code::OK)
}

fn entry(application: &RegisteredApplication) -> Entry<'_> {
    Entry {
        name: application.full_name(),
        package: application.package,
        application: application.name,
        doc: application.doc,
        file: application.file,
        line: application.line,
        argument: application.argument_schema(),
    }
}

/// Describes an application: its name and arguments, its documentation and its source location.
fn described(application: &RegisteredApplication) -> String {
    let mut text = format!("{NAME}{}{NAME:#}", application.full_name());
    for field in select::fields(application) {
        text.push(' ');
        text.push_str(&field.usage());
    }
    if let Some(doc) = application.doc.lines().map(str::trim).find(|line| !line.is_empty()) {
        text.push_str(&format!("\n    {doc}"));
    }
    let file = shown(Path::new(application.file));
    text.push_str(&format!("\n    {FAINT}{}:{}{FAINT:#}", file.display(), application.line));
    text
}

/// Returns the file relative to the current directory, if it is below that directory.
fn shown(file: &Path) -> PathBuf {
    let here = env::current_dir().unwrap_or_default();
    file.strip_prefix(here).unwrap_or(file).to_owned()
}
