//! Text from outside, as it may be sent back and logged: short, and without characters that a
//! terminal or a page would obey.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The longest piece of foreign text that a message repeats, in characters: as long as the longest
/// request id that is accepted. A reader recognises what was sent by its beginning.
const PIECE: usize = 128;
/// The longest message that contains foreign text, in characters: a screen of text. serde's errors
/// repeat whole strings of the input.
const MESSAGE: usize = 1024;
/// The longest text of an error in the log, in characters: an error with many causes.
const LOG: usize = 8 * MESSAGE;
/// The part of a shortened message that is kept from its end, which says what was expected.
const MESSAGE_END: usize = 384;

/// Returns a piece of foreign text (a name, a path, a header) as it may be repeated: at most
/// [`PIECE`] characters, followed by `…` if there are more, and with invisible characters escaped.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(PIECE) {
        None => escaped(text, is_invisible),
        Some((end, _)) => Cow::Owned(format!("{}…", escaped(&text[..end], is_invisible))),
    }
}

/// Returns a message that contains foreign text, as it may be sent: of a message with more than
/// [`MESSAGE`] characters, the middle is left out; invisible characters are escaped.
pub(crate) fn shown_message(text: &str) -> Cow<'_, str> {
    shortened(text, MESSAGE, is_invisible)
}

/// Returns the text of an error of user code, as it may be logged: of a text with more than [`LOG`]
/// characters, the middle is left out; invisible characters except for line breaks are escaped.
pub(crate) fn shown_log(text: &str) -> Cow<'_, str> {
    shortened(text, LOG, |character| character != '\n' && is_invisible(character))
}

fn shortened(text: &str, longest: usize, escape: impl Fn(char) -> bool) -> Cow<'_, str> {
    // Most messages are short in bytes, too.
    if text.len() <= longest {
        return escaped(text, escape);
    }
    let begin = text.char_indices().nth(longest - MESSAGE_END);
    let end = text.char_indices().rev().nth(MESSAGE_END - 1);
    match (begin, end) {
        (Some((begin, _)), Some((end, _))) if end > begin => {
            let (begin, end) = (escaped(&text[..begin], &escape), escaped(&text[end..], &escape));
            Cow::Owned(format!("{begin} … {end}"))
        }
        _ => escaped(text, escape),
    }
}

fn escaped(text: &str, escape: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&escape) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if escape(character) {
            // Writing to a `String` cannot fail.
            let _ = write!(shown, "{}", character.escape_debug());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// True for characters that have no shape of their own: control characters, line separators, and
/// Unicode's format characters, among them those that reverse the direction of text (U+202E).
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_text_is_shown_as_it_is() {
        for text in ["", "name", "größe `x` \\ 'y' \"z\"", "नाम", "名前", "a b"] {
            assert_eq!(shown(text), text);
            assert_eq!(shown_message(text), text);
        }
    }

    #[test]
    fn invisible_characters_are_escaped() {
        let cases = [
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\nb\r\t", "a\\nb\\r\\t"),
            ("\u{1b}[31m", "\\u{1b}[31m"),
            ("\u{9b}31m\0", "\\u{9b}31m\\0"),
            (
                "\u{2028}\u{2066}\u{feff}\u{200b}\u{ad}",
                "\\u{2028}\\u{2066}\\u{feff}\\u{200b}\\u{ad}",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected);
            assert_eq!(shown_message(text), expected);
        }
    }

    #[test]
    fn errors_in_the_log_keep_their_lines() {
        assert_eq!(
            shown_log("it failed\n\nCaused by:\n    a\r\u{202e}"),
            "it failed\n\nCaused by:\n    a\\r\\u{202e}"
        );
        assert_eq!(shown_log(&"x".repeat(1_900_000)).chars().count(), LOG + 3);
    }

    #[test]
    fn long_text_is_cut() {
        let long = "ä".repeat(2_000_000);
        assert_eq!(shown(&long).chars().count(), PIECE + 1);
        let message = format!("unknown field `{long}`, expected `a` or `b`");
        let message = shown_message(&message);
        assert!(message.starts_with("unknown field `ää") && message.ends_with("` or `b`"));
        assert!(message.chars().count() <= MESSAGE + 3);
        for length in MESSAGE - 2..MESSAGE + 3 {
            let text = "ö".repeat(length);
            assert!(shown_message(&text).chars().count() <= MESSAGE + 3);
            assert_eq!(shown_message(&text) == text, length <= MESSAGE, "{length}");
        }
    }
}
