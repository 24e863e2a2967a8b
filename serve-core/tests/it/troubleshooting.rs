//! The messages in the troubleshooting page exist.

use crate::support::repository::{self, texts};

/// Source text, with each string in one line, as it is printed.
fn source() -> String {
    let core = texts("serve-core/src", ".rs");
    let text = core + &texts("serve-cli/src", ".rs");
    let mut parts = text.split("\\\n");
    let mut whole = parts.next().unwrap().to_owned();
    for part in parts {
        whole += part.trim_start();
    }
    whole.replace("\\\"", "\"")
}

/// The messages in the first column of the tables below a heading: the code in each cell.
fn messages<'p>(page: &'p str, heading: &str) -> Vec<&'p str> {
    let (_, rest) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    cells
        .filter_map(|cell| {
            let fence = if cell.contains("``") { "``" } else { "`" };
            let (_, code) = cell.split_once(fence)?;
            Some(code.rsplit_once(fence)?.0.trim())
        })
        .collect()
}

/// The messages of which a part between two `…` does not occur in `text`.
fn unknown<'p>(messages: &[&'p str], text: &str) -> Vec<&'p str> {
    let known = |message: &str| message.split('…').all(|part| text.contains(part));
    messages.iter().copied().filter(|message| !known(message)).collect()
}

#[test]
fn messages_in_the_guide_are_real() {
    let page = repository::read("docs/troubleshooting.md");

    let compiler = messages(&page, "It does not compile");
    let said = texts("serve-core/tests/ui", ".stderr");
    assert!(compiler.len() > 20, "the table was read");
    assert_eq!(unknown(&compiler, &said), [""; 0]);

    let source = source();
    for (heading, least) in [
        ("It does not start", 15),
        ("A call fails", 8),
        ("HTTP answers", 8),
        ("In the log and the status", 8),
    ] {
        let messages = messages(&page, heading);
        assert!(messages.len() >= least, "the table of {heading:?} was read: {messages:?}");
        assert_eq!(unknown(&messages, &source), [""; 0], "{heading}");
    }
}
