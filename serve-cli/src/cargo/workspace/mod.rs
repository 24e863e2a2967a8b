//! The packages that cargo knows, and the selection of one of them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::process::{Command, Stdio};

use cargo_metadata::camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

use super::error::Error;
use super::options::CargoOptions;
use super::{metadata_progress, serve_clone};
use crate::output;
use crate::suggest::{self, same_package};

/// The crate that a package with applications depends on.
pub(crate) const SERVE_CORE: &str = "serve-core";
/// The crate that a program needs beside [`SERVE_CORE`].
pub(crate) const SERVE_CLI: &str = "serve-cli";

/// The output of `cargo metadata`, and the directory and options it was asked with.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) metadata: Metadata,
    /// The directory whose package is selected if none is named.
    pub(crate) directory: Utf8PathBuf,
    pub(crate) options: CargoOptions,
}

impl Workspace {
    /// Loads the workspace of the current directory, or of `--manifest-path`, from cargo.
    pub(crate) fn load(options: &CargoOptions) -> Result<Self, Error> {
        let directory = directory(options)?;
        let mut command = MetadataCommand::new();
        if let Some(manifest) = &options.manifest.manifest_path {
            command.manifest_path(manifest);
        }
        command.other_options(options.metadata_flags());
        let mut command = command.cargo_command();
        if let Some(directory) = options.target_dir()? {
            // `cargo metadata` has no such option. The variable means the same.
            command.env("CARGO_TARGET_DIR", directory);
        }
        let mut metadata = ask(command)?;
        metadata.target_directory = without_parents(&metadata.target_directory);
        Ok(Self { metadata, directory, options: options.clone() })
    }

    /// Returns the package called `name`, or the package of the directory if there is no name, or
    /// else the only package that depends on Serve.
    pub(crate) fn package(&self, name: Option<&str>) -> Result<&Package, Error> {
        choose(&self.metadata, name, &self.directory)
    }

    /// Returns the packages with local, editable source that `package` is built from: itself and
    /// its path dependencies, including transitive ones.
    pub(crate) fn local_packages(&self, package: &Package) -> Vec<&Package> {
        self.below(package).into_iter().filter(|package| package.source.is_none()).collect()
    }

    /// Returns the `serve-core` that `package` is linked with: the nearest among its dependencies.
    pub(crate) fn serve_core(&self, package: &Package) -> Option<&Package> {
        let is_core = |candidate: &&Package| candidate.name == SERVE_CORE;
        // An optional dependency is not in the resolved graph unless its feature is on by
        // default. The workspace then knows at most one `serve-core`.
        let below = self.below(package).into_iter().find(is_core);
        below.or_else(|| self.metadata.packages.iter().find(is_core))
    }

    /// Returns `package` and its transitive dependencies, nearest first.
    fn below(&self, package: &Package) -> Vec<&Package> {
        let packages: HashMap<&PackageId, &Package> =
            self.metadata.packages.iter().map(|package| (&package.id, package)).collect();
        let nodes = self.metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
        let edges: HashMap<&PackageId, &[PackageId]> =
            nodes.map(|node| (&node.id, node.dependencies.as_slice())).collect();

        let mut seen = HashSet::from([&package.id]);
        let mut queue = VecDeque::from([&package.id]);
        let mut below = Vec::new();
        while let Some(id) = queue.pop_front() {
            below.extend(packages.get(id).copied());
            for dependency in edges.get(id).copied().unwrap_or_default() {
                if seen.insert(dependency) {
                    queue.push_back(dependency);
                }
            }
        }
        below
    }
}

/// Returns the same directory without `..`. Cargo keeps the words of a relative path, as in
/// `CARGO_TARGET_DIR=../target`, in some of its output and not in other.
fn without_parents(path: &Utf8Path) -> Utf8PathBuf {
    if !path.components().any(|part| part == Utf8Component::ParentDir) {
        return path.to_owned();
    }
    if let Ok(resolved) = path.canonicalize_utf8() {
        return resolved;
    }
    let mut plain = Utf8PathBuf::new();
    for part in path.components() {
        match part {
            Utf8Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

/// Returns the directory in which cargo looks for a manifest. Symbolic links are resolved, as in
/// cargo's own paths.
fn directory(options: &CargoOptions) -> Result<Utf8PathBuf, Error> {
    let directory = match &options.manifest.manifest_path {
        Some(manifest) => manifest.parent().map(|parent| match parent.as_os_str().is_empty() {
            true => ".".into(),
            false => parent.to_owned(),
        }),
        None => None,
    };
    let directory = directory.unwrap_or_else(|| ".".into());
    // Cargo reports a directory that does not exist.
    let resolved = directory.canonicalize().unwrap_or(directory);
    Utf8PathBuf::from_path_buf(resolved).map_err(|path| Error::File {
        doing: "work in",
        path,
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, "its name is not UTF-8"),
    })
}

fn ask(mut command: Command) -> Result<Metadata, Error> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::NoCargo)?;
    let progress = child.stderr.take().map(|stderr| {
        // The thread ends when the pipe is closed, that is, when cargo ends.
        std::thread::spawn(move || metadata_progress::show_progress(stderr))
    });
    let output = child.wait_with_output().map_err(Error::NoCargo)?;
    let complaints = progress.and_then(|thread| thread.join().ok()).unwrap_or_default();
    if !output.status.success() {
        output::note(complaints.trim_end());
        return Err(Error::Metadata);
    }
    let json = String::from_utf8_lossy(&output.stdout);
    MetadataCommand::parse(json.trim()).map_err(Error::UnreadableMetadata)
}

fn choose<'m>(
    metadata: &'m Metadata,
    name: Option<&str>,
    directory: &Utf8Path,
) -> Result<&'m Package, Error> {
    let mut members = metadata.workspace_packages();
    members.sort_by_key(|package| package.name.as_str());
    if let Some(name) = name {
        return named(name, &members).ok_or_else(|| unknown(name, &members, metadata));
    }

    let home = |package: &&Package| package.manifest_path.parent().map(Utf8Path::to_owned);
    let here = members
        .iter()
        .copied()
        .filter(|package| home(package).is_some_and(|home| directory.starts_with(home)))
        .max_by_key(|package| home(package).map(|home| home.as_str().len()));
    match here {
        Some(package) if depends_on_serve(package) => return Ok(package),
        // In the root of a workspace, any member may be selected; elsewhere only this package.
        Some(package) if home(&package).as_deref() != Some(&metadata.workspace_root) => {
            return Err(not_serve(package));
        }
        _ => {}
    }

    members.retain(|package| depends_on_serve(package));
    match members.as_slice() {
        [] => {
            Err(Error::NoPackage { add: serve_clone::add_command(None, directory.as_std_path()) })
        }
        [one] => Ok(one),
        [first, ..] => Err(Error::SeveralPackages {
            candidates: members.iter().map(|package| package.name.to_string()).collect(),
            help: format!(
                "name one of them after the command, such as `{}`, or change to its directory",
                first.name
            ),
        }),
    }
}

/// Returns the member called `name`, or `name@version`. A name may also be written as the name of a
/// crate, with `_` for `-`.
fn named<'m>(name: &str, members: &[&'m Package]) -> Option<&'m Package> {
    let (name, version) = name.split_once('@').map_or((name, None), |(a, b)| (a, Some(b)));
    let fits = |package: &&&Package| version.is_none_or(|it| package.version.to_string() == it);
    let exact = members.iter().filter(fits).find(|package| package.name == name);
    let similar = || members.iter().filter(fits).find(|package| same_package(&package.name, name));
    exact.or_else(similar).copied()
}

/// Returns the error of a package that has no applications, since it does not depend on Serve.
pub(crate) fn not_serve(package: &Package) -> Error {
    let add = serve_clone::add_command(Some(&package.name), package.manifest_path.as_std_path());
    Error::NotServe { package: package.name.to_string(), add }
}

/// Returns true if `package` depends on Serve, and so may have deployments. `serve-cli` is
/// excluded: it handles deployments and has none.
pub(crate) fn depends_on_serve(package: &Package) -> bool {
    let mut dependencies = package.dependencies.iter();
    package.name != SERVE_CLI
        && dependencies.any(|dependency| {
            dependency.name == SERVE_CORE && dependency.kind == DependencyKind::Normal
        })
}

fn unknown(name: &str, members: &[&Package], metadata: &Metadata) -> Error {
    let help = if metadata.packages.iter().any(|package| package.name == name) {
        format!("`{name}` is a dependency; only a member of the workspace can be run")
    } else {
        let serving = members.iter().filter(|package| depends_on_serve(package));
        let serving: Vec<&str> = serving.map(|package| package.name.as_str()).collect();
        let all = members.iter().map(|package| package.name.as_str());
        suggest::did_you_mean(name, all).unwrap_or_else(|| match serving.as_slice() {
            [] => "no package of the workspace depends on serve-core".to_owned(),
            [one] => format!("the package with applications is `{one}`"),
            several => format!(
                "the packages with applications are {}",
                suggest::listed(several.iter().copied())
            ),
        })
    };
    Error::UnknownPackage { name: output::name(name), help }
}

#[cfg(test)]
pub(crate) mod tests;
