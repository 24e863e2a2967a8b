//! `docs/architecture.md` agrees with the source files.

use crate::support::repository::{self, next_table, quoted};

use std::collections::BTreeSet;
use std::fs;

/// The sources of the core.
const SRC: &str = "serve-core/src";

/// The most functions and files that a common call passes through.
const FUNCTIONS: usize = 25;
const FILES: usize = 12;

/// The rows `| `function` | `file` | .. |` of the first table below this heading.
fn way<'a>(page: &'a str, heading: &str) -> Vec<(&'a str, &'a str)> {
    let section = page.split("\n## ").find(|section| section.starts_with(heading));
    let section = section.expect("the page has this section");
    next_table(&mut section.lines())
        .map(|row| {
            let mut cells = row.split('|').skip(1).map(|cell| cell.trim().trim_matches('`'));
            let function = cells.next().expect("a row has a function");
            (function, cells.next().expect("a row has a file"))
        })
        .collect()
}

#[test]
fn call_path_is_short_and_documented_correctly() {
    let page = repository::read("docs/architecture.md");
    let way = way(&page, "The way of a call");
    assert!(way.len() > 15, "the table was not found: {way:?}");
    assert!(way.len() <= FUNCTIONS, "{} functions", way.len());
    let files: BTreeSet<_> = way.iter().map(|(_, file)| file).collect();
    assert!(files.len() <= FILES, "{} files: {files:?}", files.len());
    check_functions(&way);
}

#[test]
fn request_path_is_documented_correctly() {
    let page = repository::read("docs/architecture.md");
    let way = way(&page, "The way of a request");
    assert!(way.len() > 12, "the table was not found: {way:?}");
    check_functions(&way);
}

fn check_functions(way: &[(&str, &str)]) {
    for (function, file) in way {
        let source = repository::read(&format!("{SRC}/{file}"));
        let defines = [format!("fn {function}("), format!("fn {function}<")];
        assert!(
            defines.iter().any(|definition| source.contains(definition)),
            "{file} has no function `{function}`"
        );
    }
}

/// Files that the page names in its text: `folder/file.rs`.
#[test]
fn files_named_in_the_page_exist() {
    let page = repository::read("docs/architecture.md");
    let files: Vec<_> =
        quoted(&page).filter(|name| name.ends_with(".rs") && name.contains('/')).collect();
    assert!(files.len() > 30, "{files:?}");
    for file in files {
        let from = if file.starts_with("serve-") { "." } else { SRC };
        assert!(repository::path(from).join(file).exists(), "there is no {file}");
    }
}

/// The modules of the crate: each may use those of earlier rows.
const ORDER: [&[&str]; 18] = [
    &["error", "time"],
    &["observe"],
    &["deployment"],
    &["call"],
    &["method"],
    &["replica"],
    &["transport"],
    &["router"],
    &["dispatch"],
    &["application"],
    &["controller"],
    &["node"],
    &["ingress"],
    &["admin"],
    &["config"],
    &["testing"],
    &["runtime"],
    &["private", "prelude", "macros", "lib"],
];

/// Modules that use a later module, each with its reason.
const EXCEPTIONS: [(&str, &str); 3] = [
    // A `Bound` and a policy are told apart by what a call carries.
    ("deployment", "call"),
    // `From` of every call's failure; the type is the lower one.
    ("error", "call"),
    // The mock runtime derefs to the real one.
    ("testing", "runtime"),
];

fn place(module: &str) -> Option<usize> {
    ORDER.iter().position(|modules| modules.contains(&module))
}

#[test]
fn modules_use_only_modules_above_them() {
    let src = repository::path(SRC);
    let files = repository::files(SRC, ".rs");
    let mut faults = BTreeSet::new();
    for file in files {
        let relative = file.strip_prefix(&src).expect("below src");
        let first = relative.components().next().expect("a name").as_os_str().to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        let user = place(&module).unwrap_or_else(|| panic!("`{module}` has no place in the order"));
        let name = relative.to_string_lossy();
        // Tests may use everything.
        if name.ends_with("tests.rs")
            || name.contains("/tests/")
            || name.ends_with("wire_simulation.rs")
            || name.ends_with("fuzzing.rs")
        {
            continue;
        }
        let source = fs::read_to_string(&file).expect("a source file");
        let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for used in line.split("crate::").skip(1) {
                let used: String =
                    used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let Some(of) = place(&used) else { continue };
                let known = EXCEPTIONS.contains(&(module.as_str(), used.as_str()));
                if of > user && !known {
                    faults.insert(format!("{name} uses `{used}`"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "against the order of modules:\n{faults:#?}");
}

/// The names of running modules that the controller may use, each with its reason.
const DATA: [(&str, &str); 1] = [
    // The load of a deployment, four numbers.
    ("router", "Load"),
];

#[test]
fn controller_holds_no_replicas_or_routers() {
    let files = repository::files(&format!("{SRC}/controller"), ".rs");
    assert!(files.len() > 15, "{files:?}");
    // The simulation of a load is for tests alone.
    for file in files.iter().filter(|file| !file.ends_with("simulation.rs")) {
        let source = fs::read_to_string(file).expect("a source file");
        for module in ["replica", "router", "dispatch", "transport", "node"] {
            for used in source.split(&format!("crate::{module}::")).skip(1) {
                let name: String = used.chars().take_while(|c| c.is_alphanumeric()).collect();
                let is_data = DATA.contains(&(module, &*name));
                assert!(is_data, "{} uses `{module}::{name}`", file.display());
            }
        }
    }
}
