//! The fuzz targets of HTTP and of configuration files: what a client or a user may send. `serve-core/tests/it/fuzz_corpora.rs` includes
//! these files, and runs every input of `corpus/` through them.
//!
//! The targets of what other processes send are in `serve-core/src/testing/fuzzing.rs`, because they
//! use private types.

pub mod answers;
pub mod bodies;
pub mod config;
pub mod connection;
pub mod headers;
pub mod input;
pub mod parameters;
pub mod paths;
pub mod shapes;
