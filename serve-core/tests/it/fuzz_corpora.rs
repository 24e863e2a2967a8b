//! The fuzz targets of HTTP and of configuration files run every input of their corpora. `fuzz/README.md` says how to look for
//! more inputs. The corpora of values and frames are run by `serve-core/src/testing/fuzzing.rs`.
#![cfg(all(feature = "http", feature = "config"))]

use crate::support::repository;

use std::fs;
use std::panic::catch_unwind;

#[path = "../../../fuzz/src/lib.rs"]
#[allow(
    dead_code,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "the fuzz targets are a crate of their own, which cuts numbers out of bytes"
)]
mod targets;

fn run(target: &str, one: fn(&[u8])) {
    let files = repository::files(&format!("fuzz/corpus/{target}"), "");
    assert!(files.len() > 10, "{target}: {} files", files.len());
    for file in files {
        let input = fs::read(&file).unwrap();
        assert!(catch_unwind(|| one(&input)).is_ok(), "{}", file.display());
    }
}

#[test]
fn parameters() {
    run("parameters", targets::parameters::run);
}

#[test]
fn bodies() {
    run("bodies", targets::bodies::run);
}

#[test]
fn paths() {
    run("paths", targets::paths::run);
}

#[test]
fn headers() {
    run("headers", targets::headers::run);
}

#[test]
fn connections() {
    run("connection", targets::connection::run);
}

#[test]
fn configurations() {
    run("config", targets::config::run);
    // Each file of the tests of configurations is an input, too.
    for file in repository::files("serve-core/tests/it/config", ".yaml") {
        targets::config::run(&fs::read(file).unwrap());
    }
}
