//! The tokenizer: BERT's word pieces, all lower case and without accents.
//!
//! It gives the very ids of the original (Hugging Face's `tokenizers` with the model's
//! `tokenizer.json`), which `tests/reference` has for two hundred texts. `rten-text` has the parts:
//! normaliser, splitter, word pieces. What the original does and they do not is done here:
//!
//! - control characters are dropped, and every white space is a blank;
//! - every Chinese character is a word of its own;
//! - a word with a piece that is not in the vocabulary is unknown as a whole.
//!
//! The parts are put together here too. `rten_text::Tokenizer` (0.27) is not `Send`, and panics
//! ("invalid normalized offset") where a text ends with a word of several pieces.
//!
//! One thing is otherwise than in the original, on purpose: what a text says is text. `[SEP]`
//! written in it is three words, and not the mark that ends the text.

use std::collections::HashMap;

use rten_text::models::{Model as _, WordPiece, WordPieceOptions};
use rten_text::normalizers::{self, Normalizer as _};
use rten_text::pre_tokenizers::{self, PreTokenizer as _};
use rten_text::{TokenId, TokenizerError};
use unicode_categories::UnicodeCategories as _;

/// How many tokens the model reads, its two marks among them (`max_seq_length` in the model's
/// `sentence_bert_config.json`). What comes after them is not read.
pub const MAX_TOKENS: usize = 256;

/// Texts to ids.
pub struct Tokens {
    normalizer: normalizers::Bert,
    splitter: pre_tokenizers::Bert,
    pieces: WordPiece,
    marks: Marks,
}

/// The ids of the tokens that are no words.
#[derive(Clone, Copy, Debug)]
struct Marks {
    start: TokenId,
    end: TokenId,
    unknown: TokenId,
}

/// The vocabulary is not BERT's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the vocabulary has no `{0}`")]
pub struct NoSuchToken(&'static str);

impl Tokens {
    /// The tokenizer of a vocabulary, which has a token a line: BERT's `vocab.txt`.
    ///
    /// # Errors
    /// If the vocabulary lacks `[CLS]`, `[SEP]` or `[UNK]`.
    pub fn new(vocabulary: &str) -> Result<Self, NoSuchToken> {
        let ids = vocabulary.lines().zip(0..).map(|(token, id)| (token.to_owned(), id));
        let ids: HashMap<String, TokenId> = ids.collect();
        let mark = |mark| ids.get(mark).copied().ok_or(NoSuchToken(mark));
        let marks = Marks { start: mark("[CLS]")?, end: mark("[SEP]")?, unknown: mark("[UNK]")? };
        let options = normalizers::BertOptions { lowercase: true, strip_accents: true };
        Ok(Self {
            normalizer: normalizers::Bert::new(options),
            splitter: pre_tokenizers::Bert::new(),
            pieces: WordPiece::from_vocab(ids, WordPieceOptions::default()),
            marks,
        })
    }

    /// The ids of a text, from 2 to [`MAX_TOKENS`] of them.
    ///
    /// # Errors
    /// None that a text could bring about; the parts say that they may fail.
    pub fn encode(&self, text: &str) -> Result<Vec<TokenId>, TokenizerError> {
        let text = cleaned(text);
        let (text, _) = self.normalizer.normalize(&text).map_err(TokenizerError::NormalizeError)?;
        let words = self.splitter.pre_tokenize(&text).map_err(TokenizerError::PreTokenizeError)?;
        let mut ids = vec![self.marks.start];
        for word in words {
            let before = ids.len();
            self.pieces
                .encode_with_offsets(word, &mut |_, id| ids.push(id))
                .map_err(TokenizerError::EncodeError)?;
            if ids[before..].contains(&self.marks.unknown) {
                ids.truncate(before);
                ids.push(self.marks.unknown);
            }
            if ids.len() >= MAX_TOKENS {
                break;
            }
        }
        ids.truncate(MAX_TOKENS - 1);
        ids.push(self.marks.end);
        Ok(ids)
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// Without what cannot be seen, and with blanks around Chinese characters.
fn cleaned(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' | '\u{FFFD}' => {}
            '\t' | '\n' | '\r' => cleaned.push(' '),
            c if c.is_other() => {}
            c if c.is_whitespace() => cleaned.push(' '),
            c if is_chinese(c) => cleaned.extend([' ', c, ' ']),
            c => cleaned.push(c),
        }
    }
    cleaned
}

/// The blocks that BERT's authors name: Chinese characters, also those of Japanese and Korean, but
/// neither kana nor hangul, which are written with words of several characters.
fn is_chinese(c: char) -> bool {
    matches!(
        c,
        '\u{4E00}'..='\u{9FFF}'
            | '\u{3400}'..='\u{4DBF}'
            | '\u{20000}'..='\u{2A6DF}'
            | '\u{2A700}'..='\u{2B73F}'
            | '\u{2B740}'..='\u{2B81F}'
            | '\u{2B920}'..='\u{2CEAF}'
            | '\u{F900}'..='\u{FAFF}'
            | '\u{2F800}'..='\u{2FA1F}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCABULARY: &str =
        "[PAD]\n[UNK]\n[CLS]\n[SEP]\nsnow\n##man\nman\ncafe\n中\n文\n[\n]\nsep";

    fn ids(text: &str) -> Vec<TokenId> {
        let tokens = Tokens::new(VOCABULARY).expect("it has all marks");
        let ids = tokens.encode(text).expect("any text has ids");
        assert_eq!((ids[0], ids[ids.len() - 1]), (2, 3), "the marks of a text");
        ids[1..ids.len() - 1].to_vec()
    }

    #[test]
    fn a_word_is_pieces_or_unknown_as_a_whole() {
        assert_eq!(ids("snowman"), [4, 5]);
        assert_eq!(ids("snow☃man"), [1]);
    }

    #[test]
    fn case_and_accents_do_not_count() {
        for text in ["CAFÉ", "Cafe\u{301}", "ca\u{200B}fe\u{0}"] {
            assert_eq!(ids(text), [7], "{text}");
        }
    }

    #[test]
    fn a_chinese_character_is_a_word() {
        assert_eq!(ids("snow中文man"), [4, 8, 9, 6]);
    }

    #[test]
    fn a_mark_in_a_text_is_text() {
        assert_eq!(ids("[SEP]"), [10, 12, 11]);
    }

    #[test]
    fn what_is_too_long_is_cut() {
        assert_eq!(ids(&"snow ".repeat(1_000)).len(), MAX_TOKENS - 2);
        assert!(ids("").is_empty());
    }

    #[test]
    fn a_vocabulary_without_marks_is_refused() {
        assert_eq!(Tokens::new("[UNK]\n[CLS]\nsnow").err(), Some(NoSuchToken("[SEP]")));
    }
}
