//! `cargo serve`: builds and starts the Serve applications of a package.

fn main() -> std::process::ExitCode {
    serve_cli::cargo::main()
}
