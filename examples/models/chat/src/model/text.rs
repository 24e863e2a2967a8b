//! [`Utf8`]: bytes that come in pieces, as text that is never cut inside a character.

/// Makes text of the bytes of tokens. A token may end in the middle of a character: those bytes
/// wait for the rest of it.
#[derive(Debug, Default)]
pub struct Utf8 {
    pending: Vec<u8>,
}

impl Utf8 {
    /// The text that is whole now. What can never become a character is `U+FFFD`.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let (text, rest) = whole(&self.pending);
        self.pending.drain(..rest);
        text
    }

    /// What waits for bytes that do not come any more.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

/// The text of `bytes`, and where a character begins whose end is missing.
fn whole(bytes: &[u8]) -> (String, usize) {
    let (mut text, mut at) = (String::new(), 0);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        at += chunk.valid().len();
        if chunk.invalid().is_empty() || may_continue(chunk.invalid(), &bytes[at..]) {
            break;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        at += chunk.invalid().len();
    }
    (text, at)
}

/// Whether `invalid`, with which `rest` starts, is all of it and the beginning of a character.
fn may_continue(invalid: &[u8], rest: &[u8]) -> bool {
    let missing = |error: std::str::Utf8Error| error.error_len().is_none();
    invalid.len() == rest.len() && std::str::from_utf8(invalid).is_err_and(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_comes_when_it_is_whole() {
        let mut text = Utf8::default();
        let mut came = Vec::new();
        for byte in "aé👩‍👧 ".bytes() {
            came.push(text.push(&[byte]));
        }
        came.retain(|text| !text.is_empty());
        assert_eq!(came, ["a", "é", "👩", "\u{200d}", "👧", " "]);
        assert_eq!(text.finish(), "");
    }

    #[test]
    fn any_cut_gives_the_same_text() {
        let whole = "naïve – 日本語 🎉\n  x".as_bytes();
        for cut in 0..=whole.len() {
            let mut text = Utf8::default();
            let mut joined = text.push(&whole[..cut]);
            joined += &text.push(&whole[cut..]);
            assert_eq!(joined.as_bytes(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_text_is_replaced_and_the_rest_is_kept() {
        let mut text = Utf8::default();
        assert_eq!(text.push(b"a\xffb\xe2\x82"), "a\u{fffd}b");
        assert_eq!(text.push(b"c"), "\u{fffd}c");
        assert_eq!(text.push(b"\xf0\x9f"), "");
        assert_eq!(text.finish(), "\u{fffd}");
    }
}
