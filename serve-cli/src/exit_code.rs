//! The exit codes of `cargo serve` and of every program built with it.
//!
//! They are part of the interface: a script may rely on them.

/// The command did what was asked.
pub const OK: u8 = 0;

/// It failed for a reason that has no code of its own, for example because a
/// file could not be written.
pub const FAILED: u8 = 1;

/// The command line was not understood.
pub const USAGE: u8 = 2;

/// There is no such package, or none was named and several would do.
pub const PACKAGE_NOT_FOUND: u8 = 3;

/// The package cannot be made into a program: it has no library to link and
/// names no binary of its own, or does not depend on Serve.
pub const NOT_RUNNABLE: u8 = 4;

/// No such application is linked into the program.
pub const APPLICATION_NOT_FOUND: u8 = 5;

/// An argument of the application or of the called method is missing, unknown
/// or has the wrong type.
pub const BAD_ARGUMENT: u8 = 6;

/// The application was refused or a deployment could not be started.
pub const DEPLOY_FAILED: u8 = 7;

/// The address to serve on is in use or may not be used.
pub const ADDRESS_UNAVAILABLE: u8 = 8;

/// The application's ingress has no such method.
pub const METHOD_NOT_FOUND: u8 = 9;

/// The call was made and failed.
pub const CALL_FAILED: u8 = 10;

/// The call took longer than `--timeout`.
pub const TIMED_OUT: u8 = 11;

/// `new` or `eject` would have overwritten something.
pub const ALREADY_EXISTS: u8 = 12;

/// The build failed. Cargo's own code.
pub const BUILD_FAILED: u8 = 101;

/// `cargo metadata` failed: a manifest is invalid, or a dependency cannot be
/// resolved.
pub const METADATA_FAILED: u8 = 102;

/// Stopped by a second Ctrl-C, without waiting for the requests in progress.
pub const INTERRUPTED: u8 = 130;
