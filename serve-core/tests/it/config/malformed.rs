//! Malformed files: each has one fault, and the fault has its place, what was expected, and a remedy.

use crate::support::repository;

use std::fs;

use serve_core::config::Config;

fn environment(name: &str) -> Option<String> {
    match name {
        "WORD" => Some("eighty".to_owned()),
        "NUMBER" => Some("8080".to_owned()),
        _ => None,
    }
}

#[test]
fn each_fault_has_its_place_and_remedy() {
    let mut files = repository::files("serve-core/tests/it/config/malformed", ".yaml");
    files.sort();
    assert!(files.len() > 100, "{} files", files.len());
    for path in files {
        let bytes = fs::read(&path).expect("a file");
        let name = path.file_name().expect("a name").to_str().expect("UTF-8");
        match Config::parse_bytes(&bytes, name, &environment) {
            Ok(_) => println!("OK!!! {name}"),
            Err(faults) => println!("{}\n{faults}", faults.len()),
        }
    }
}
