//! Tests of the help texts, and of the guide's page about the command line, which must be
//! complete.

use std::ffi::OsString;
use std::fs;

use super::*;
use crate::exit_code;
use crate::parse::{command, parse};

/// Reads the guide's page about the command line.
fn page() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
    fs::read_to_string(page).expect("the page is in the repository")
}

/// Returns the part of a page below a heading, up to the next heading.
fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let heading = format!("\n## {heading}\n");
    let (_, rest) = page.split_once(&heading).unwrap_or_else(|| panic!("no {heading}"));
    rest.split_once("\n## ").map_or(rest, |(section, _)| section)
}

/// Returns the commands that the help shows.
fn commands() -> Vec<clap::Command> {
    let whole = command::<CommandLine>();
    whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect()
}

fn long_options(command: &clap::Command, for_cargo: bool) -> Vec<String> {
    let options = command.get_arguments().filter(|option| {
        let heading = option.get_help_heading();
        (heading == Some("Build options")) == for_cargo && option.get_id() != "help"
    });
    options.filter_map(|option| option.get_long()).map(|long| format!("`--{long}")).collect()
}

#[test]
fn the_command_line_is_consistent() {
    command::<CommandLine>().debug_assert();
}

#[test]
fn features_are_separated_as_cargo_does() {
    let line = ["cargo-serve", "list", "-F", "a,b", "--features", "c d"].map(OsString::from);
    let Command::List { cargo, .. } = parse::<CommandLine>(line).expect("a command").command else {
        panic!("not `list`")
    };
    assert_eq!(cargo.feature_names(), ["a", "b", "c", "d"]);
}

#[test]
fn help() {
    let mut whole = command::<CommandLine>().term_width(80);
    insta::assert_snapshot!("help", whole.render_long_help());
    whole.build();
    for command in commands() {
        let name = command.get_name().to_owned();
        let mut command = command.bin_name(format!("cargo serve {name}")).term_width(80);
        insta::assert_snapshot!(format!("help_of_{name}"), command.render_help());
    }
}

#[test]
fn the_guide_names_every_command_and_option() {
    let page = page();
    for command in commands() {
        let name = command.get_name();
        let about = section(&page, &format!("`cargo serve {name}`"));
        for option in long_options(&command, false) {
            assert!(about.contains(&option), "{option}` is not in the part about {name}");
        }
        let build = section(&page, "Build options");
        for option in long_options(&command, true) {
            assert!(build.contains(&option), "{option}` is not among the build options");
        }
    }
}

#[test]
fn the_guide_has_the_table_of_exit_codes() {
    let page = page();
    let rows: Vec<&str> =
        section(&page, "Exit codes").lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> =
        exit_code::ALL.iter().map(|(code, meaning)| format!("| `{code}` | {meaning} |")).collect();
    assert_eq!(rows, expected);
}
