//! `cargo serve` from a clone, as `cargo install serve-cli` would install it.

fn main() -> std::process::ExitCode {
    serve_cli::cargo::main()
}
