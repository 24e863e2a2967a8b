//! The program of this package: runs, lists, draws and calls the applications of its
//! library. `cargo serve` builds it, since the manifest names it under
//! `[package.metadata.serve]`.

// A crate that is never named is not linked, and its applications are not found. Name
// every other one with applications here, too.
extern crate {{crate}} as _;

fn main() -> std::process::ExitCode {
    serve_cli::main()
}
