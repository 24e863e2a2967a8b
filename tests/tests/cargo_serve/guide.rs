//! The guide's page about the command line shows what the command prints.

use serve_tests::{CargoServe, repository};

/// The examples of a page: what is typed after `$ cargo serve`, and what is printed.
fn examples(page: &str) -> Vec<(String, String)> {
    let blocks = page.split("```console\n").skip(1);
    let blocks = blocks.filter_map(|block| block.split_once("\n```").map(|(block, _)| block));
    blocks
        .filter_map(|block| {
            let (typed, printed) = block.strip_prefix("$ cargo serve ")?.split_once('\n')?;
            Some((typed.to_owned(), printed.to_owned()))
        })
        .collect()
}

/// Lines move in a file; that is nothing to correct a page for.
fn without_line_numbers(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| match line.rsplit_once(".rs:") {
        Some((file, _)) => format!("{file}.rs"),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn its_examples_are_real() {
    let page = std::fs::read_to_string(repository().join("docs").join("cli.md"));
    let examples = examples(&page.expect("the page is in the repository"));
    let mut shown = 0;
    for (typed, printed) in examples {
        let words: Vec<&str> = typed.split(' ').collect();
        // The others write files or go on for ever, and have tests of their own.
        if !["list", "graph", "call"].contains(&words[0]) {
            continue;
        }
        let finished = CargoServe::in_repository(words).finish();
        assert_eq!(finished.code, Some(0), "{typed}: {finished}");
        assert_eq!(
            without_line_numbers(&finished.stdout),
            without_line_numbers(&printed),
            "cargo serve {typed}"
        );
        shown += 1;
    }
    assert!(shown >= 3, "the page has an example of each command");
}
