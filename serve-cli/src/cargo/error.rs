//! The errors that occur before the program runs.

use std::io;
use std::path::PathBuf;

use cargo_metadata::camino::Utf8PathBuf;
use miette::Diagnostic;

use crate::arguments::{BadCertificate, BadVariable, NotListening, NotOfAFile, UnknownEnding};
use crate::failure::Failure;
use crate::output::Unwritten;
use crate::{exit_code, remote};

/// The verb of errors about files that could not be written.
pub(crate) const WRITE: &str = "write";
/// The verb of errors about files and directories that could not be created.
pub(crate) const CREATE: &str = "create";

/// The error of a command that ends before the program starts.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error("cannot run cargo")]
    #[diagnostic(
        code(serve::cargo),
        help("install cargo from https://rustup.rs, or add its directory to the PATH")
    )]
    NoCargo(#[source] io::Error),

    /// The reason has already been printed by cargo.
    #[error("`cargo metadata` failed")]
    #[diagnostic(code(serve::metadata))]
    Metadata,

    #[error("`cargo metadata` printed unexpected output")]
    #[diagnostic(code(serve::metadata))]
    UnreadableMetadata(#[source] cargo_metadata::Error),

    #[error("there is no package `{name}` in this workspace")]
    #[diagnostic(code(serve::package_not_found))]
    UnknownPackage {
        name: String,
        #[help]
        help: String,
    },

    #[error("this workspace has {} packages that depend on serve-core: {}", .candidates.len(), .candidates.join(", "))]
    #[diagnostic(code(serve::package_not_found))]
    SeveralPackages {
        candidates: Vec<String>,
        #[help]
        help: String,
    },

    #[error(transparent)]
    #[diagnostic(transparent)]
    Remote(#[from] remote::Error),

    #[error(transparent)]
    #[diagnostic(transparent)]
    NotOfAFile(#[from] NotOfAFile),

    #[error("two packages are named: `{named}`, and `{option}` with `--package`")]
    #[diagnostic(code(serve::usage), help("name the package once"))]
    TwoPackages { named: String, option: String },

    #[error(transparent)]
    #[diagnostic(transparent)]
    Variable(#[from] BadVariable),

    #[error(transparent)]
    #[diagnostic(transparent)]
    NotListening(#[from] NotListening),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Certificate(#[from] BadCertificate),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Format(#[from] UnknownEnding),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Output(#[from] Unwritten),

    #[error("no package of this workspace depends on serve-core")]
    #[diagnostic(
        code(serve::package_not_found),
        help(
            "`cargo serve new NAME` creates a package with an example; {add} adds the dependency to a package that exists"
        )
    )]
    NoPackage { add: String },

    #[error("the package `{package}` does not depend on serve-core, so it has no applications")]
    #[diagnostic(code(serve::not_runnable), help("{add} adds the dependency"))]
    NotServe { package: String, add: String },

    #[error("the package `{package}` has only {binaries}, and no library to link into a program")]
    #[diagnostic(
        code(serve::not_runnable),
        help(
            "either move the applications to `src/lib.rs`, \
             or end the `main` of the binary with `serve_cli::main()`, and add to {manifest}:\n\n\
             [package.metadata.serve]\nbin = \"{binary}\"\n\n\
             [dependencies]\nserve-cli = {serve_cli}"
        )
    )]
    OnlyBinaries {
        package: String,
        binaries: String,
        binary: String,
        manifest: Utf8PathBuf,
        /// The dependency, as a manifest names it.
        serve_cli: String,
    },

    #[error("the package `{package}` has no library to link into a program")]
    #[diagnostic(code(serve::not_runnable), help("write the applications in `src/lib.rs`"))]
    NoLibrary { package: String },

    #[error(
        "the library of the package `{package}` is built only as {kinds}, which a Rust program cannot link"
    )]
    #[diagnostic(
        code(serve::not_runnable),
        help(
            "add \"lib\" to its crate types in {manifest}:\n\n[lib]\ncrate-type = [{suggestion}]"
        )
    )]
    NotLinkable { package: String, kinds: String, suggestion: String, manifest: Utf8PathBuf },

    #[error("the package `{package}` is a procedural macro, which cannot have applications")]
    #[diagnostic(code(serve::not_runnable), help("name the package that uses the macro"))]
    ProcMacro { package: String },

    #[error(
        "{manifest} names the binary `{name}` under [package.metadata.serve], but the package `{package}` has no such binary"
    )]
    #[diagnostic(code(serve::not_runnable))]
    NoSuchBinary {
        package: String,
        name: String,
        manifest: Utf8PathBuf,
        #[help]
        help: String,
    },

    #[error("the section [package.metadata.serve] of {manifest} is invalid: {problem}")]
    #[diagnostic(
        code(serve::not_runnable),
        help("the section has one key: `bin = \"name\"`, the name of the package's own program")
    )]
    PackageMetadata { manifest: Utf8PathBuf, problem: String },

    #[error(
        "the package `{package}` depends on serve-core from {found}, which has no serve-cli beside it"
    )]
    #[diagnostic(
        code(serve::not_runnable),
        help("depend on the serve-core of a complete clone of Serve, or on a release")
    )]
    NoServeCli { package: String, found: String },

    #[error("the package `{package}` has no feature `{feature}`")]
    #[diagnostic(code(serve::features))]
    UnknownFeature {
        package: String,
        feature: String,
        #[help]
        help: String,
    },

    /// The reason has already been printed by cargo.
    #[error("the build failed")]
    #[diagnostic(code(serve::build_failed))]
    BuildFailed { code: u8 },

    #[error("cargo built the package, but reported no program")]
    #[diagnostic(code(serve::build_failed))]
    NoExecutable,

    #[error("cannot start {program}")]
    #[diagnostic(code(serve::start))]
    Start {
        program: Utf8PathBuf,
        #[source]
        source: io::Error,
    },

    #[error("cannot {doing} {path}", path = .path.display())]
    #[diagnostic(code(serve::file))]
    File {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error("cannot read {path}", path = .path.display())]
    #[diagnostic(code(serve::manifest))]
    Manifest {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    #[error("cannot watch {path} for changes", path = .path.display())]
    #[diagnostic(
        code(serve::watch),
        help(
            "Linux limits the number of watches: `sysctl fs.inotify.max_user_watches` shows the limit"
        )
    )]
    Watch {
        path: PathBuf,
        #[source]
        source: notify::Error,
    },

    #[error("{path} exists already", path = .path.display())]
    #[diagnostic(code(serve::exists))]
    Exists {
        path: PathBuf,
        #[help]
        help: String,
    },

    #[error("the package `{package}` has its own program already")]
    #[diagnostic(
        code(serve::exists),
        help(
            "{manifest} names it under [package.metadata.serve]; without that section, `cargo serve` generates a program"
        )
    )]
    HasProgram { package: String, manifest: Utf8PathBuf },

    #[error("there is no clone of Serve in {path}", path = .path.display())]
    #[diagnostic(
        code(serve::file),
        help("name the directory that contains `serve-core` and `serve-cli`")
    )]
    NotAClone { path: PathBuf },

    /// The reason has already been printed by cargo.
    #[error("`cargo new` failed")]
    #[diagnostic(code(serve::new))]
    New { code: u8 },
}

impl Error {
    /// Returns a function that creates an error about a file, "cannot `doing` `path`".
    pub(crate) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }
}

impl Failure for Error {
    fn exit_code(&self) -> u8 {
        match self {
            Self::UnknownPackage { .. } | Self::SeveralPackages { .. } | Self::NoPackage { .. } => {
                exit_code::PACKAGE_NOT_FOUND
            }
            Self::NotServe { .. }
            | Self::OnlyBinaries { .. }
            | Self::NoLibrary { .. }
            | Self::NotLinkable { .. }
            | Self::ProcMacro { .. }
            | Self::NoSuchBinary { .. }
            | Self::PackageMetadata { .. }
            | Self::NoServeCli { .. } => exit_code::NOT_RUNNABLE,
            Self::UnknownFeature { .. } | Self::TwoPackages { .. } => exit_code::USAGE,
            Self::Variable(error) => error.exit_code(),
            Self::NotListening(error) => error.exit_code(),
            Self::Certificate(error) => error.exit_code(),
            Self::Format(error) => error.exit_code(),
            Self::Remote(error) => error.exit_code(),
            Self::NotOfAFile(error) => error.exit_code(),
            Self::Output(error) => error.exit_code(),
            Self::File { doing: WRITE | CREATE, .. } => exit_code::OUTPUT_FAILED,
            Self::Metadata | Self::UnreadableMetadata(_) => exit_code::METADATA_FAILED,
            Self::BuildFailed { code } | Self::New { code } => *code,
            Self::NoExecutable => exit_code::BUILD_FAILED,
            Self::Exists { .. } | Self::HasProgram { .. } => exit_code::ALREADY_EXISTS,
            Self::NoCargo(_)
            | Self::Start { .. }
            | Self::File { .. }
            | Self::Manifest { .. }
            | Self::Watch { .. }
            | Self::NotAClone { .. } => exit_code::FAILED,
        }
    }

    fn is_silent(&self) -> bool {
        match self {
            Self::Output(error) => error.is_silent(),
            _ => matches!(self, Self::Metadata | Self::BuildFailed { .. } | Self::New { .. }),
        }
    }
}
