//! `cargo-serve`, as a program of this package: cargo builds it with the tests, and
//! needs no second build of the same crates with other features.

fn main() -> std::process::ExitCode {
    serve_cli::cargo::main()
}
