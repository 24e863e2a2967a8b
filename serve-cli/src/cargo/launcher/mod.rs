//! The generated program that links a library package.
//!
//! The program is a package of its own in `target/serve/<package>/`, with its own workspace.
//! The settings that cargo reads only from the root of a workspace (patches, profiles, the
//! lock file) are therefore copied from the user's workspace. The files of the program are
//! rewritten only when their content changes, so that an unchanged program stays fresh.

mod features;
mod location;
mod lock;
mod manifest;

use std::fs;

use cargo_metadata::Package;
use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};

use super::error::{CREATE, Error, WRITE};
use super::serve_cli_source::ServeCli;
use super::workspace::{Workspace, not_serve};

pub(crate) use location::Location;

/// The files of a launcher, and their directory.
#[derive(Debug)]
pub(crate) struct Launcher {
    /// The name of the launcher's package and of its binary.
    pub(crate) name: String,
    directory: Utf8PathBuf,
    manifest: String,
    main: String,
    /// The lock file whose versions the launcher uses.
    lock: Utf8PathBuf,
}

impl Launcher {
    /// Creates the launcher for `package`, whose library is called `crate_name`.
    #[expect(clippy::needless_pass_by_value, reason = "they are used up here")]
    pub(crate) fn new(
        workspace: &Workspace,
        package: &Package,
        crate_name: String,
        others: Vec<(&Package, String)>,
        location: &Location,
    ) -> Result<Self, Error> {
        let serve_core = workspace.serve_core(package).ok_or_else(|| not_serve(package))?;
        let root = &workspace.metadata.workspace_root;
        let mut location = location.clone();
        for (other, _) in &others {
            location = location.with(other);
        }
        let name = location.launcher_name(package);
        let contents = manifest::LauncherManifest {
            name: &name,
            package,
            features: features::select(package, &workspace.options)?,
            serve_cli: ServeCli::beside(serve_core, package)?,
            tls: workspace.options.tls,
            others: others.iter().map(|(other, _)| *other).collect(),
            root,
            root_manifest: read_manifest(&root.join("Cargo.toml"))?,
        };
        Ok(Self {
            directory: location.directory(package),
            manifest: contents.to_string(),
            main: main_source(std::iter::once(&crate_name).chain(others.iter().map(|it| &it.1))),
            lock: root.join("Cargo.lock"),
            name,
        })
    }

    /// Returns the path of the launcher's manifest.
    pub(crate) fn manifest_path(&self) -> Utf8PathBuf {
        self.directory.join("Cargo.toml")
    }

    /// Brings the files on disk up to date.
    pub(crate) fn write(&self) -> Result<(), Error> {
        let source = self.directory.join("src");
        fs::create_dir_all(&source).map_err(Error::file(CREATE, &source))?;
        write_if_changed(&self.manifest_path(), &self.manifest)?;
        write_if_changed(&source.join("main.rs"), &self.main)?;
        lock::follow(&self.lock, &self.directory)
    }
}

fn main_source<'n>(crate_names: impl Iterator<Item = &'n String>) -> String {
    let linked: String = crate_names.map(|name| format!("extern crate {name} as _;\n")).collect();
    format!(
        "//! Written by `cargo serve`, which overwrites changes.\n\
         //! `cargo serve eject` makes it a part of the package.\n\
         \n\
         {linked}\
         \n\
         fn main() -> std::process::ExitCode {{\n    serve_cli::main()\n}}\n"
    )
}

fn read_manifest(path: &Utf8Path) -> Result<toml::Table, Error> {
    let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
    text.parse().map_err(|error: toml::de::Error| Error::Manifest {
        path: path.into(),
        source: Box::new(error),
    })
}

/// Writes the file only if its content differs, which keeps the modification time of an
/// unchanged file.
fn write_if_changed(path: &Utf8Path, content: &str) -> Result<(), Error> {
    if fs::read(path).is_ok_and(|now| now == content.as_bytes()) {
        return Ok(());
    }
    replace(path, content)
}

/// Writes the file atomically, since another `cargo serve` may be about to read it.
fn replace(path: &Utf8Path, content: &str) -> Result<(), Error> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    fs::write(&new, content).map_err(Error::file(WRITE, &new))?;
    fs::rename(&new, path).map_err(Error::file(WRITE, path))
}
