//! The exit codes of `cargo serve` and of every program built with it.
//!
//! The codes are part of the interface: a script may rely on them. `cargo serve --help`
//! lists all of them.

/// The command succeeded.
pub const OK: u8 = 0;

/// The command failed for a reason that has no code of its own, for example because
/// a file could not be read.
pub const FAILED: u8 = 1;

/// The command line, or an environment variable that is read with it, is invalid.
pub const USAGE: u8 = 2;

/// There is no such package, or none was named and several are possible.
pub const PACKAGE_NOT_FOUND: u8 = 3;

/// No program can be built from the package: it has no library to link and
/// names no binary of its own, or it does not depend on Serve.
pub const NOT_RUNNABLE: u8 = 4;

/// No such application is linked into the program, or several have that name.
pub const APPLICATION_NOT_FOUND: u8 = 5;

/// An argument of the application or of the called method is missing, unknown
/// or has the wrong type.
pub const BAD_ARGUMENT: u8 = 6;

/// The application was rejected, or one of its deployments did not start.
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

/// The command is planned, but not part of this version.
pub const NOT_BUILT: u8 = 13;

/// At least one application of the running instance does not run. Only `status` ends so.
pub const NOT_RUNNING: u8 = 14;

/// No instance answers at the address, or something else does.
pub const NOT_ANSWERED: u8 = 15;

/// The configuration differs from the running one. Only `diff` ends so.
pub const DIFFERS: u8 = 16;

/// The output could not be written: the result to the standard output, or a file. A reader
/// that stops reading, as in `| head`, is not an error.
pub const OUTPUT_FAILED: u8 = 17;

/// The certificate for TLS, or its key, cannot be used.
pub const CERTIFICATE: u8 = 18;

/// Cargo failed to build the package, or to create a new one. This is cargo's own code.
pub const BUILD_FAILED: u8 = 101;

/// `cargo metadata` failed: a manifest is invalid, or a dependency cannot be
/// resolved.
pub const METADATA_FAILED: u8 = 102;

/// A second signal ended the command before all requests in progress were answered.
/// The commands other than `run` have no such requests, and the first signal ends them.
pub const INTERRUPTED: u8 = 130;

/// Each code with its meaning in a few words, as `--help` shows them.
pub const ALL: [(u8, &str); 22] = [
    (OK, "the command succeeded"),
    (FAILED, "the command failed for a reason that has no code of its own"),
    (USAGE, "the command line or an environment variable is invalid"),
    (PACKAGE_NOT_FOUND, "there is no such package, or several packages are possible"),
    (NOT_RUNNABLE, "no program can be built from the package"),
    (APPLICATION_NOT_FOUND, "there is no such application, or several have that name"),
    (BAD_ARGUMENT, "an argument is missing, unknown or of the wrong type"),
    (DEPLOY_FAILED, "the application was rejected or did not start"),
    (ADDRESS_UNAVAILABLE, "the address is in use or may not be used"),
    (METHOD_NOT_FOUND, "the ingress has no such method"),
    (CALL_FAILED, "the call failed"),
    (TIMED_OUT, "the call took longer than `--timeout`"),
    (ALREADY_EXISTS, "the file or package exists already"),
    (NOT_BUILT, "the command is planned, but not part of this version"),
    (NOT_RUNNING, "an application of the running instance does not run"),
    (NOT_ANSWERED, "no running instance answers"),
    (DIFFERS, "the configuration differs from the running one"),
    (OUTPUT_FAILED, "the output could not be written"),
    (CERTIFICATE, "the TLS certificate or its key cannot be used"),
    (BUILD_FAILED, "cargo could not build the package, or create a new one"),
    (METADATA_FAILED, "cargo could not read a manifest or resolve a dependency"),
    (INTERRUPTED, "a second signal ended the command before all requests were answered"),
];

/// Returns the list of codes that ends a help text.
pub(crate) fn help() -> String {
    let lines = ALL.iter().map(|(code, meaning)| format!("\n  {code:>3}  {meaning}"));
    format!("Exit codes:{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_in_order() {
        assert!(ALL.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
