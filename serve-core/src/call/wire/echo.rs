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
/// The part of a shortened message that is kept from its end, which says what was expected.
const MESSAGE_END: usize = 384;

/// Returns a piece of foreign text (a name, a path, a header) as it may be repeated: at most
/// [`PIECE`] characters, followed by `…` if there are more, and with invisible characters escaped.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(PIECE) {
        None => escaped(text),
        Some((end, _)) => Cow::Owned(format!("{}…", escaped(&text[..end]))),
    }
}

/// Returns a message that contains foreign text, as it may be sent: of a message with more than
/// [`MESSAGE`] characters, the middle is left out; invisible characters are escaped.
pub(crate) fn shown_message(text: &str) -> Cow<'_, str> {
    // Most messages are short in bytes, too.
    if text.len() <= MESSAGE {
        return escaped(text);
    }
    let Some((begin, _)) = text.char_indices().nth(MESSAGE - MESSAGE_END) else {
        return escaped(text);
    };
    match text.char_indices().rev().nth(MESSAGE_END - 1) {
        Some((end, _)) if end > begin => {
            Cow::Owned(format!("{} … {}", escaped(&text[..begin]), escaped(&text[end..])))
        }
        _ => escaped(text),
    }
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_invisible(character) {
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
