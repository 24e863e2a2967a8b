//! The program that is built for a package: a launcher around its library, or its own binary.

use cargo_metadata::camino::Utf8PathBuf;
use cargo_metadata::{CrateType, Package, TargetKind};

use super::error::Error;
use super::launcher::{Launcher, Location};
use super::options::CargoOptions;
use super::serve_cli_source::ServeCli;
use super::workspace::{Workspace, not_serve};
use crate::arguments::ApplicationPath;
use crate::suggest;

/// The program to build for a package, and where to build it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) package: Package,
    pub(crate) kind: Kind,
    pub(crate) target_directory: Utf8PathBuf,
    /// The directories of the package and its path dependencies.
    pub(crate) source_directories: Vec<Utf8PathBuf>,
    pub(crate) workspace_root: Utf8PathBuf,
}

/// The package and the application that the command line names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selection<'a> {
    /// The name of the package; `None` for the package of the directory.
    pub(crate) package: Option<&'a str>,
    /// The application to run, if there is one.
    pub(crate) application: Option<&'a str>,
    /// The names of further packages that the program links.
    pub(crate) others: &'a [String],
}

impl<'a> Selection<'a> {
    /// Selects a package, whatever its applications.
    pub(crate) fn package(package: Option<&'a str>) -> Self {
        Self { package, application: None, others: &[] }
    }

    /// Selects the package of `path`, or the package that `options` name.
    pub(crate) fn of(
        path: Option<&'a ApplicationPath>,
        options: &'a CargoOptions,
    ) -> Result<Self, Error> {
        let package = options.package(path.and_then(|path| path.package.as_deref()))?;
        let application = path.map(|path| path.application.as_str());
        Ok(Self { package, application, others: &[] })
    }
}

/// The origin of the program.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A generated package that links the library.
    Launcher(Launcher),
    /// The package's own binary of this name.
    OwnBinary(String),
}

/// The part of a package from which the program is built: its library, or one of its binaries.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ProgramSource {
    Library { crate_name: String },
    Binary { name: String },
}

impl Target {
    /// Returns the program for the package that `selection` names.
    pub(crate) fn of(workspace: &Workspace, selection: Selection<'_>) -> Result<Self, Error> {
        let package = package_of(workspace, selection)?;
        let location = Location::of(workspace);
        let kind = match program_source(workspace, package)? {
            ProgramSource::Binary { name } => Kind::OwnBinary(name),
            ProgramSource::Library { crate_name } => {
                let others = others(workspace, package, selection.others)?;
                Kind::Launcher(Launcher::new(workspace, package, crate_name, others, &location)?)
            }
        };
        Ok(Self {
            package: package.clone(),
            target_directory: match &kind {
                Kind::Launcher(_) => location.target_directory,
                Kind::OwnBinary(_) => workspace.metadata.target_directory.clone(),
            },
            kind,
            source_directories: source_directories(workspace, package),
            workspace_root: workspace.metadata.workspace_root.clone(),
        })
    }
}

/// Returns the further packages that a launcher links, with the names of their libraries.
fn others<'w>(
    workspace: &'w Workspace,
    package: &Package,
    names: &[String],
) -> Result<Vec<(&'w Package, String)>, Error> {
    let mut others = Vec::new();
    for name in names {
        let other = workspace.package(Some(name))?;
        if other.id == package.id {
            continue;
        }
        match program_source(workspace, other)? {
            ProgramSource::Library { crate_name } => others.push((other, crate_name)),
            // Its binary is not linked, but its library may be.
            ProgramSource::Binary { .. } => {
                let library = other.targets.iter().find(|target| is_library(target));
                let name = library.map(|library| library.name.replace('-', "_"));
                others.extend(name.map(|name| (other, name)));
            }
        }
    }
    Ok(others)
}

fn source_directories(workspace: &Workspace, package: &Package) -> Vec<Utf8PathBuf> {
    let packages = workspace.local_packages(package);
    let manifests = packages.iter().filter_map(|package| package.manifest_path.parent());
    manifests.map(Utf8PathBuf::from).collect()
}

/// Returns the package that `selection` names. If several packages are possible, the name of an
/// application may also select the package of the same name: `run ocr` is short for
/// `run ocr:ocr`.
fn package_of<'w>(
    workspace: &'w Workspace,
    selection: Selection<'_>,
) -> Result<&'w Package, Error> {
    match (workspace.package(selection.package), selection.application) {
        (Err(Error::SeveralPackages { candidates, .. }), Some(application)) => {
            if candidates.iter().any(|package| package == application) {
                return workspace.package(Some(application));
            }
            let example = candidates.first().map_or("PACKAGE", String::as_str);
            let near = suggest::did_you_mean(application, candidates.iter().map(String::as_str));
            let near = near.map(|near| format!("{near} Otherwise ")).unwrap_or_default();
            let help = format!(
                "{near}name the package, as in `{example}:{application}`, or change to its directory"
            );
            Err(Error::SeveralPackages { candidates, help })
        }
        (package, _) => package,
    }
}

/// Returns the part of `package` from which its program is built.
pub(crate) fn program_source(
    workspace: &Workspace,
    package: &Package,
) -> Result<ProgramSource, Error> {
    if let Some(name) = named_binary(package)? {
        return Ok(ProgramSource::Binary { name });
    }
    let name = || package.name.to_string();
    let Some(library) = package.targets.iter().find(|target| is_library(target)) else {
        return Err(match binaries(package).as_slice() {
            [] => Error::NoLibrary { package: name() },
            [first, ..] => Error::OnlyBinaries {
                package: name(),
                binaries: match binaries(package).as_slice() {
                    [one] => format!("the binary `{one}`"),
                    several => format!("the binaries {}", suggest::listed(several.iter().copied())),
                },
                binary: (*first).to_owned(),
                manifest: package.manifest_path.clone(),
                serve_cli: serve_cli(workspace, package)?,
            },
        });
    };
    let kinds = &library.crate_types;
    if kinds.contains(&CrateType::ProcMacro) {
        return Err(Error::ProcMacro { package: name() });
    }
    let linkable = [CrateType::Lib, CrateType::RLib, CrateType::DyLib];
    if !kinds.iter().any(|kind| linkable.contains(kind)) {
        let kinds: Vec<String> = kinds.iter().map(CrateType::to_string).collect();
        let quoted = kinds.iter().map(|kind| format!("\"{kind}\"")).chain(["\"lib\"".to_owned()]);
        return Err(Error::NotLinkable {
            package: name(),
            suggestion: quoted.collect::<Vec<_>>().join(", "),
            kinds: kinds.join(" and "),
            manifest: package.manifest_path.clone(),
        });
    }
    Ok(ProgramSource::Library { crate_name: library.name.replace('-', "_") })
}

/// Returns the dependency on `serve-cli` that belongs to `package`, as its manifest would name it.
fn serve_cli(workspace: &Workspace, package: &Package) -> Result<String, Error> {
    let serve_core = workspace.serve_core(package).ok_or_else(|| not_serve(package))?;
    let directory = package.manifest_path.parent().unwrap_or(&workspace.metadata.workspace_root);
    Ok(ServeCli::beside(serve_core, package)?.as_written_in(directory).to_string())
}

fn is_library(target: &cargo_metadata::Target) -> bool {
    target.kind.iter().any(|kind| {
        matches!(
            kind,
            TargetKind::Lib
                | TargetKind::RLib
                | TargetKind::DyLib
                | TargetKind::CDyLib
                | TargetKind::StaticLib
                | TargetKind::ProcMacro
        )
    })
}

pub(crate) fn binaries(package: &Package) -> Vec<&str> {
    let binaries = package.targets.iter().filter(|target| target.is_bin());
    binaries.map(|target| target.name.as_str()).collect()
}

/// Returns the value of `[package.metadata.serve] bin`, checked against the package's binaries.
fn named_binary(package: &Package) -> Result<Option<String>, Error> {
    let wrong = |problem: String| Error::PackageMetadata {
        manifest: package.manifest_path.clone(),
        problem,
    };
    let Some(serve) = package.metadata.get("serve") else {
        return Ok(None);
    };
    let serve = serve.as_object().ok_or_else(|| wrong("it is not a table".to_owned()))?;
    if let Some(key) = serve.keys().find(|key| *key != "bin") {
        return Err(wrong(format!("unknown key `{key}`")));
    }
    let Some(name) = serve.get("bin") else {
        return Ok(None);
    };
    let name = name.as_str().ok_or_else(|| wrong("`bin` is not a string".to_owned()))?;
    let binaries = binaries(package);
    if binaries.contains(&name) {
        return Ok(Some(name.to_owned()));
    }
    Err(Error::NoSuchBinary {
        package: package.name.to_string(),
        name: name.to_owned(),
        manifest: package.manifest_path.clone(),
        help: suggest::did_you_mean(name, binaries.iter().copied()).unwrap_or_else(
            || match binaries.as_slice() {
                [] => "a binary is `src/main.rs` or `src/bin/NAME.rs`".to_owned(),
                names => format!("the package has {}", suggest::listed(names.iter().copied())),
            },
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::workspace::tests::{PackageJson, package, workspace};

    /// A workspace with a release of Serve.
    fn workspace_of(members: Vec<PackageJson>) -> Workspace {
        let release = "registry+https://github.com/rust-lang/crates.io-index";
        Workspace {
            metadata: workspace(members, vec![package("serve-core").from(release)]),
            directory: "/work".into(),
            options: CargoOptions::default(),
        }
    }

    fn source(package: &Package) -> Result<ProgramSource, Error> {
        program_source(&workspace_of(Vec::new()), package)
    }

    fn error(package: &Package) -> String {
        source(package).expect_err("not runnable").to_string()
    }

    #[test]
    fn among_several_packages_an_application_may_stand_for_its_own() {
        let member = |name| package(name).depends_on("serve-core");
        let workspace = workspace_of(vec![member("hello"), member("ocr")]);
        let of = |application| {
            let selection =
                Selection { package: None, application: Some(application), others: &[] };
            package_of(&workspace, selection).map(|package| package.name.to_string())
        };
        assert_eq!(of("ocr").expect("it is a package"), "ocr");
        let help = |application| {
            let error = of(application).expect_err("it is none");
            miette::Diagnostic::help(&error).expect("it has one").to_string()
        };
        assert_eq!(
            help("chain"),
            "name the package, as in `hello:chain`, or change to its directory"
        );
        assert!(
            help("helo").starts_with("did you mean `hello`? Otherwise name the package"),
            "{}",
            help("helo")
        );
    }

    #[test]
    fn a_library_is_linked_by_its_own_name() {
        let renamed = package("acme-service").library("acme", &["lib"]).build();
        assert_eq!(
            source(&renamed).expect("runnable"),
            ProgramSource::Library { crate_name: "acme".into() }
        );
        let both = package("hello").library("hello", &["cdylib", "rlib"]).binary("hello").build();
        assert_eq!(
            source(&both).expect("runnable"),
            ProgramSource::Library { crate_name: "hello".into() }
        );
    }

    #[test]
    fn the_manifest_can_name_a_binary_instead() {
        let own = package("hello").library("hello", &["lib"]).binary("server");
        let own = own.metadata(serde_json::json!({"serve": {"bin": "server"}})).build();
        assert_eq!(
            source(&own).expect("runnable"),
            ProgramSource::Binary { name: "server".into() }
        );
    }

    #[test]
    fn what_cannot_be_linked_says_why() {
        let cdylib = package("hello").library("hello", &["cdylib"]).build();
        assert!(error(&cdylib).contains("built only as cdylib"));
        let proc_macro = package("hello").library("hello", &["proc-macro"]).build();
        assert!(error(&proc_macro).contains("procedural macro"));
        let binaries = package("hello").binary("a").binary("b").build();
        assert!(error(&binaries).contains("only the binaries `a`, `b`"));
        let help = source(&binaries).expect_err("not runnable");
        let help = miette::Diagnostic::help(&help).expect("it has help").to_string();
        assert!(
            help.ends_with("serve-cli = { default-features = false, version = \"1.0.0\" }"),
            "{help}"
        );
        assert!(error(&package("hello").build()).contains("has no library"));
    }

    #[test]
    fn a_mistake_in_the_metadata_is_not_passed_over() {
        let with = |serve| {
            package("hello")
                .binary("server")
                .metadata(serde_json::json!({ "serve": serve }))
                .build()
        };
        assert!(error(&with(serde_json::json!({"bin": "sever"}))).contains("the binary `sever`"));
        assert!(
            error(&with(serde_json::json!({"binary": "server"}))).contains("unknown key `binary`")
        );
        assert!(error(&with(serde_json::json!({"bin": true}))).contains("`bin` is not a string"));
        assert!(error(&with(serde_json::json!("server"))).contains("not a table"));
    }
}
