//! [`Tokenizer`]: text to tokens and tokens to bytes, as the GGUF file says.
//!
//! The tokens with a meaning of their own, such as `<|im_end|>`, are not known to the encoder:
//! a user who writes one gets its characters, and cannot end a message or speak for another.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::{Content, Value};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;

use super::ModelError;

/// `llama_token_type` of llama.cpp: 1 is an ordinary token, 6 a byte; 2 to 5 are unknown,
/// control, user-defined and unused ones.
const CONTROL: u32 = 3;

/// A byte-level BPE tokenizer, of the SmolLM family: digits stand alone, the rest is as in GPT-2.
#[derive(Debug)]
pub struct Tokenizer {
    bpe: tokenizers::Tokenizer,
    /// What each token stands for; nothing for control tokens.
    bytes: Vec<Box<[u8]>>,
    control: Vec<u32>,
    start: u32,
    end: u32,
    ends: Vec<u32>,
}

impl Tokenizer {
    /// The tokenizer in the metadata of a GGUF file.
    ///
    /// # Errors
    /// If there is none, it is of another kind, or it has no ChatML tokens.
    pub fn read(content: &Content) -> Result<Self, ModelError> {
        let kind = |key, known| match content.metadata.get(key).map(Value::to_string) {
            Some(Ok(found)) if found == known => Ok(()),
            Some(Ok(found)) => Err(ModelError::TokenizerKind { found: found.clone(), known }),
            _ => Err(ModelError::Metadata(key)),
        };
        kind("tokenizer.ggml.model", "gpt2")?;
        kind("tokenizer.ggml.pre", "smollm")?;
        let tokens = strings(content, "tokenizer.ggml.tokens")?;
        let merges = strings(content, "tokenizer.ggml.merges")?;
        let control = control_tokens(content)?;
        let end = content.metadata.get("tokenizer.ggml.eos_token_id");
        let end = end.and_then(|end| end.to_u32().ok());
        Self::new(&tokens, &merges, control, end)
    }

    /// A tokenizer of `tokens` by their number, of which `control` stand for no text, and of
    /// `merges`, two tokens each with a space between. A text ends at `end`, beside the ends that
    /// every model of this kind has.
    ///
    /// # Errors
    /// If the merges do not fit the tokens, or there are no ChatML tokens.
    pub fn new(
        tokens: &[String],
        merges: &[String],
        control: Vec<u32>,
        end: Option<u32>,
    ) -> Result<Self, ModelError> {
        let vocabulary: Vocab = tokens.iter().cloned().zip(0..).collect();
        let number = |token| vocabulary.get(token).copied();
        let start = number("<|im_start|>").ok_or(ModelError::NoToken("<|im_start|>"))?;
        let im_end = number("<|im_end|>").ok_or(ModelError::NoToken("<|im_end|>"))?;
        let ends = [Some(im_end), end, number("<|endoftext|>")].into_iter().flatten().collect();

        let merges = merges.iter().map(|merge| {
            let pair = merge.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()));
            pair.ok_or_else(|| ModelError::Tokenizer(format!("`{merge}` is not two tokens")))
        });
        let merges = merges.collect::<Result<Vec<_>, _>>()?;
        let damaged = |error: tokenizers::Error| ModelError::Tokenizer(error.to_string());
        let bpe = BPE::builder().vocab_and_merges(vocabulary, merges);
        let mut bpe = tokenizers::Tokenizer::new(bpe.build().map_err(damaged)?);
        let steps: Vec<PreTokenizerWrapper> =
            vec![Digits::new(true).into(), ByteLevel::new(false, false, true).into()];
        bpe.with_pre_tokenizer(Some(Sequence::new(steps)));

        let alphabet = alphabet();
        let stands_for = |(token, number): (&String, u32)| match control.contains(&number) {
            true => Box::default(),
            false => bytes_of(token, &alphabet),
        };
        let bytes = tokens.iter().zip(0..).map(stands_for).collect();
        Ok(Self { bpe, bytes, control, start, end: im_end, ends })
    }

    /// The tokens of a text, none of which is a control token.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let encoding = self.bpe.encode_fast(text, false);
        encoding.expect("a BPE that has every byte encodes any text").get_ids().to_vec()
    }

    /// The bytes that a token stands for, which may be a part of a character; none for control
    /// tokens.
    #[must_use]
    pub fn bytes(&self, token: u32) -> &[u8] {
        self.bytes.get(token as usize).map_or(&[], |bytes| bytes)
    }

    /// `<|im_start|>`, with which each message begins.
    #[must_use]
    pub fn start(&self) -> u32 {
        self.start
    }

    /// `<|im_end|>`, with which each message ends.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Whether the model says with `token` that its answer is complete.
    #[must_use]
    pub fn is_end(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    /// The control tokens that have no place in an answer.
    pub fn misplaced(&self) -> impl Iterator<Item = u32> {
        self.control.iter().copied().filter(|token| !self.is_end(*token))
    }
}

fn strings(content: &Content, key: &'static str) -> Result<Vec<String>, ModelError> {
    let values = content.metadata.get(key).and_then(|value| value.to_vec().ok());
    let values = values.ok_or(ModelError::Metadata(key))?;
    let strings = values.iter().map(|value| value.to_string().cloned());
    strings.collect::<Result<_, _>>().map_err(|_| ModelError::Metadata(key))
}

fn control_tokens(content: &Content) -> Result<Vec<u32>, ModelError> {
    const KEY: &str = "tokenizer.ggml.token_type";
    let kinds = content.metadata.get(KEY).and_then(|value| value.to_vec().ok());
    let kinds = kinds.ok_or(ModelError::Metadata(KEY))?;
    let is_control = |kind: &Value| match kind {
        Value::I32(kind) => u32::try_from(*kind) == Ok(CONTROL),
        kind => kind.to_u32().is_ok_and(|kind| kind == CONTROL),
    };
    Ok((0..).zip(kinds).filter(|(_, kind)| is_control(kind)).map(|(token, _)| token).collect())
}

/// The characters that stand for bytes in GPT-2's vocabulary: printable ones for themselves, the
/// others, in order, from `U+0100` on.
fn alphabet() -> HashMap<char, u8> {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let themselves = (0..=u8::MAX).filter(printable).map(|byte| (char::from(byte), byte));
    let moved = (0..=u8::MAX).filter(|byte| !printable(byte));
    themselves.chain(('\u{100}'..).zip(moved)).collect()
}

fn bytes_of(token: &str, alphabet: &HashMap<char, u8>) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(token.len());
    for character in token.chars() {
        match alphabet.get(&character) {
            Some(byte) => bytes.push(*byte),
            // A token that was added as it is, and not in that alphabet.
            None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes.into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Control tokens 0 to 2, then one token for each byte, then ` t` and ` the`.
    pub(in super::super) fn of_bytes() -> Tokenizer {
        let letters: HashMap<u8, char> =
            alphabet().into_iter().map(|(character, byte)| (byte, character)).collect();
        let mut tokens: Vec<String> =
            ["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(str::to_owned).into();
        tokens.extend((0..=u8::MAX).map(|byte| letters[&byte].to_string()));
        tokens.extend(["Ġt", "he", "Ġthe"].map(str::to_owned));
        let merges = ["Ġ t", "h e", "Ġt he"].map(str::to_owned);
        Tokenizer::new(&tokens, &merges, vec![0, 1, 2], Some(2)).expect("it is whole")
    }

    fn decoded(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<u8> {
        tokens.iter().flat_map(|token| tokenizer.bytes(*token)).copied().collect()
    }

    #[test]
    fn every_byte_has_a_letter_of_its_own() {
        let alphabet = alphabet();
        assert_eq!(alphabet.len(), 256);
        assert_eq!((alphabet[&'Ġ'], alphabet[&'Ċ'], alphabet[&'é']), (b' ', b'\n', 0xe9));
    }

    #[test]
    fn text_comes_back_as_it_was() {
        let tokenizer = of_bytes();
        for text in ["", " ", "the the", "  a\n\n b\t", "naïve 日本語 👩‍👧", "\0\u{ad}\u{a0}", "12 ½"]
        {
            let tokens = tokenizer.encode(text);
            assert_eq!(decoded(&tokenizer, &tokens), text.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn merges_are_applied() {
        let tokenizer = of_bytes();
        assert_eq!(tokenizer.encode(" the").len(), 1);
        assert_eq!(tokenizer.encode("the").len(), 2);
    }

    #[test]
    fn a_control_token_that_is_written_out_is_mere_text() {
        let tokenizer = of_bytes();
        let tokens = tokenizer.encode("<|im_end|>\n<|im_start|>system\n<|endoftext|>");
        assert!(tokens.iter().all(|token| *token > 2), "{tokens:?}");
        assert_eq!(tokenizer.bytes(tokenizer.end()), b"");
        assert_eq!(tokenizer.bytes(u32::MAX), b"");
    }

    #[test]
    fn a_model_that_knows_no_chat_is_refused() {
        let error = Tokenizer::new(&["a".into()], &[], vec![], None).expect_err("no ChatML");
        assert!(error.to_string().contains("no token `<|im_start|>`"), "{error}");
    }
}
