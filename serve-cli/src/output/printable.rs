//! Text from elsewhere, such as names on the command line, as it is shown in messages: of limited
//! length, and without characters that change how a terminal shows the rest.

use std::borrow::Cow;
use std::fmt::Write;

/// The most characters of one name in a message. Names of Rust items are shorter.
const NAME: usize = 100;

/// The most characters of a whole message. Its first and last parts are kept.
const MESSAGE: usize = 4_000;

/// Returns a name for a message: escaped, and cut if it is long.
pub(crate) fn name(text: &str) -> String {
    let mut characters = text.chars();
    let shown: String = characters.by_ref().take(NAME).collect();
    let shown = escaped(&shown, |_| false);
    match characters.count() {
        0 => shown.into_owned(),
        more => format!("{shown}… ({more} more characters)"),
    }
}

/// Returns a whole message: escaped except for line breaks, with the middle left out if it is
/// long.
pub(crate) fn printable(text: &str) -> String {
    let length = text.chars().count();
    if length <= MESSAGE {
        return escaped(text, is_space).into_owned();
    }
    let part = MESSAGE / 2;
    let head: String = text.chars().take(part).collect();
    let tail: String = text.chars().skip(length - part).collect();
    let left_out = length - 2 * part;
    format!(
        "{}… ({left_out} characters left out) …{}",
        escaped(&head, is_space),
        escaped(&tail, is_space)
    )
}

/// Escapes each character that a terminal obeys instead of showing it, except those to `keep`.
fn escaped(text: &str, keep: fn(char) -> bool) -> Cow<'_, str> {
    let is_escaped = |character| is_unprintable(character) && !keep(character);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_escaped(character) {
            let _ = write!(escaped, "{}", character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Returns true for line breaks and tabs, which a message may contain and a name may not.
fn is_space(character: char) -> bool {
    matches!(character, '\n' | '\t')
}

/// Returns true for control characters, for the characters that change the direction of text, and
/// for invisible ones.
fn is_unprintable(character: char) -> bool {
    match character {
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}' => {
            true
        }
        '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' => true,
        '\u{e0000}'..='\u{e007f}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(name("a\u{202e}b\u{1b}[2J\r\n"), r"a\u{202e}b\u{1b}[2J\u{d}\u{a}");
        assert_eq!(printable("one\ntwo\tthree\u{7}"), "one\ntwo\tthree\\u{7}");
        assert_eq!(name("größe 日本 👩‍👧"), "größe 日本 👩‍👧");
    }

    #[test]
    fn long_text_is_cut() {
        let long = "x".repeat(300_000);
        assert_eq!(name(&long), format!("{}… (299900 more characters)", "x".repeat(100)));
        let message = format!("there is no `{long}`; did you mean `y`?");
        let shown = printable(&message);
        assert!(shown.len() < MESSAGE + 100, "{}", shown.len());
        assert!(shown.starts_with("there is no `x") && shown.ends_with("did you mean `y`?"));
        assert!(shown.contains("characters left out"), "{shown}");
        // Cutting never lets through what escaping would change.
        assert!(!name(&"\u{202e}".repeat(1_000)).contains('\u{202e}'));
        assert!(!printable(&"\u{202e}".repeat(10_000)).contains('\u{202e}'));
    }
}
