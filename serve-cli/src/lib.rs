//! The command line of Serve, in two halves.
//!
//! *Outside* is `cargo serve`: it finds the package, builds a program that
//! links it, and starts that program. *Inside* is that program: `main` knows
//! the applications that are linked into it, and runs, lists, draws or calls
//! them. Both take the same command line, except for the options for cargo,
//! which stay outside.
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
//! | `exit_code` | the status each failure ends with |
//! | `arguments` | what both halves read from the command line |
//! | `failure` | what an error owes its reader: a sentence, a remedy, a status |
//! | `nearest` | which known name was meant |
//! | `output` | results on stdout, everything else on stderr |
//! | `planned` | commands that are to come |
//! | `inside` | the commands of a linked program |
//! | `outside` | cargo: packages, launchers, builds, processes |

mod arguments;
pub mod exit_code;
mod failure;
mod inside;
mod nearest;
mod output;
mod planned;

#[cfg(feature = "cargo")]
#[doc(hidden)]
pub mod outside;

pub use inside::main;

/// The environment variable that names the package whose applications need no `PACKAGE:` on
/// the command line. `cargo serve` sets it for the program that it starts.
pub(crate) const PACKAGE_VARIABLE: &str = "SERVE_PACKAGE";
