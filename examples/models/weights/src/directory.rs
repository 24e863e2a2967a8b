//! Where the files of models are.

use std::env;
use std::path::PathBuf;

/// `MODELS_DIR`, or else `target/models` of this workspace; where a program has left the
/// workspace that it was built in, `target/models` of the directory that it runs in.
pub(crate) fn of_models() -> PathBuf {
    let asked_for = env::var_os("MODELS_DIR").filter(|directory| !directory.is_empty());
    asked_for.map_or_else(
        || {
            let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
            let workspace = PathBuf::from(workspace).canonicalize().unwrap_or_default();
            workspace.join("target").join("models")
        },
        PathBuf::from,
    )
}
