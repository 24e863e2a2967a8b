//! The command line of Serve, in two halves.
//!
//! The module `cargo` is the command `cargo serve`: it finds the package, builds a
//! program that links the package, and starts that program. The module `app` is that
//! program: [`main`] knows the applications that are linked into the program, and runs,
//! lists, draws or calls them. Both halves take the same command line, except that only
//! `cargo serve` takes options for cargo.
//!
//! A library package needs no setup: `cargo serve` generates the program. A
//! package with its own program names it in its manifest,
//!
//! ```toml
//! [package.metadata.serve]
//! bin = "server"
//! ```
//!
//! and its `main` is one line:
//!
//! ```no_run
//! // The library with the applications: a crate that is never named is not linked.
//! // extern crate hello as _;
//!
//! fn main() -> std::process::ExitCode {
//!     serve_cli::main()
//! }
//! ```
//!
//! `cargo serve eject` writes both. The same program runs in production,
//! without cargo: `server run hello:language_classifier`.
//!
//! | module | owns |
//! |---|---|
//! | `exit_code` | the exit code of each failure |
//! | `arguments` | the arguments that both halves take |
//! | `failure` | the common interface of errors: a message, a remedy, an exit code |
//! | `suggest` | suggestions of known names for a misspelt name |
//! | `output` | results on stdout, everything else on stderr |
//! | `parse` | the command line of either half, as clap parses it |
//! | `planned` | commands that a later version will have |
//! | `remote` | the commands that talk to a running instance |
//! | `app` | the commands of a program with applications |
//! | `cargo` | `cargo serve`: packages, launchers, builds, processes |

mod app;
mod arguments;
#[cfg(feature = "cargo")]
#[doc(hidden)]
pub mod cargo;
pub mod exit_code;
mod failure;
mod output;
mod parse;
mod planned;
mod remote;
mod suggest;

pub use app::main;

/// The environment variable that names the package whose applications need no `PACKAGE:` on
/// the command line. `cargo serve` sets it for the program that it starts.
pub(crate) const PACKAGE_VARIABLE: &str = "SERVE_PACKAGE";
