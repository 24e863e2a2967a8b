//! Malformed files: each has one fault, and the fault has its place, what was expected, and a remedy.

use super::{environment, files, parse};

use std::fmt::Write;

use serve_core::config::Config;

#[test]
fn each_fault_has_its_place_and_remedy() {
    let files = files("malformed");
    assert!(files.len() > 120, "{} files", files.len());
    let mut said = String::new();
    for (name, bytes) in files {
        let faults = Config::parse_bytes(&bytes, &name, &environment).expect_err(&name);
        let expected = if name == "five_faults.yaml" { 5 } else { 1 };
        assert_eq!(faults.len(), expected, "{name}: {faults}");
        writeln!(said, "{}", without_names(&faults.to_string())).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for fault in &faults {
            let (line, column) = (fault.line().expect("a line"), fault.column().expect("a column"));
            let place = text.split('\n').nth(line - 1);
            let place = place.unwrap_or_else(|| panic!("{name} has no line {line}"));
            assert!(column <= place.chars().count() + 1, "{fault}");
        }
    }
    insta::assert_snapshot!(said);
}

/// The faults without the names that are registered in this program, to which other tests add.
fn without_names(faults: &str) -> String {
    let lines = faults.lines().map(|line| {
        let Some((before, rest)) = line.split_once("; there are `") else {
            return line.replace("; none is registered;", "; there are [..];");
        };
        let names = rest.find("`; ").unwrap_or(rest.len());
        format!("{before}; there are [..]{}", rest.get(names + 1..).unwrap_or_default())
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn hostile_input_ends_soon() {
    let laughs = |base: &str| {
        let mut text = format!("a0: &a0 {base}\n");
        for n in 1..60 {
            let before = format!("*a{}, ", n - 1).repeat(9);
            text += &format!("a{n}: &a{n} [{before}]\n");
        }
        text
    };
    let cases = [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        "? ".repeat(100_000),
        laughs("[x, x, x]"),
        laughs("{ b: b }"),
        format!("applications: [{}]", "{},".repeat(100_000)),
        format!("applications: []\n\"{}\": 1", "x".repeat(1_000_000)),
        format!("applications: []\nadmin: {{ token: \"{}\" ", "${".repeat(100_000)),
        "\u{feff}".repeat(1000),
        "&a [*a]".to_owned(),
        "a: &a\n  b: *a\napplications: []".to_owned(),
        format!("<<: {}", "[".repeat(50)),
        "!!binary aGVsbG8=".to_owned(),
        "applications: !!binary aGVsbG8=".to_owned(),
        "applications: !include /etc/passwd".to_owned(),
        "? [a, b]\n: c\napplications: []".to_owned(),
        "~: 1\napplications: []".to_owned(),
        " ".repeat(9 << 20),
    ];
    for text in cases {
        let shown: String = text.chars().take(40).collect();
        let faults = parse(&text).expect_err(&shown).to_string();
        for line in faults.lines() {
            assert!(line.len() < 2000, "{shown}: {line}");
        }
    }
}

#[test]
fn a_fault_shows_nothing_that_a_terminal_acts_on() {
    let faults = parse("applications: []\n\"a\\e[31m\\u202e\": 1\n").unwrap_err().to_string();
    assert!(!faults.contains('\u{1b}') && !faults.contains('\u{202e}'), "{faults:?}");
}
