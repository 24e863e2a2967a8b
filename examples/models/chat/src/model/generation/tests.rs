//! Answers of a network that says what a test wants.

use super::super::tokenizer::tests::of_bytes;
use super::*;
use crate::model::Choice;

/// Says `says`, token by token, whatever it reads.
struct Parrot {
    says: std::vec::IntoIter<u32>,
    heard: Vec<Vec<u32>>,
}

impl Network for Parrot {
    fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>, candle_core::Error> {
        self.heard.push(tokens.to_vec());
        let mut scores = vec![0.0; 3 + 256 + 3];
        // A control token that has no place in an answer is always the likeliest.
        scores[1] = 9.0;
        let end_of_prompt = tokens.len() < CHUNK;
        if end_of_prompt {
            let token = self.says.next().ok_or_else(|| candle_core::Error::msg("out of words"))?;
            scores[token as usize] = 5.0;
        }
        Ok(scores)
    }
}

const END: u32 = 2;

fn bytes(text: &str) -> Vec<u32> {
    text.bytes().map(|byte| u32::from(byte) + 3).collect()
}

fn generation(says: Vec<u32>, prompt: usize, tokens: usize, stops: &[&str]) -> Generation<Parrot> {
    let greedy =
        Choice { temperature: 0.0, top_p: 1.0, frequency_penalty: 0.0, presence_penalty: 0.0 };
    let stops = Stops::new(stops.iter().map(ToString::to_string).collect());
    Generation::new(
        Parrot { says: says.into_iter(), heard: Vec::new() },
        Arc::new(of_bytes()),
        vec![65; prompt],
        Sampler::new(greedy, 0),
        Limits { tokens, stops },
    )
}

/// Its text, and how it ended.
fn answer(generation: Generation<Parrot>) -> (String, Finish, usize) {
    let mut text = String::new();
    let mut ended = None;
    for piece in generation {
        assert!(ended.is_none(), "nothing comes after the end");
        match piece.expect("it is computed") {
            Piece::Reading { .. } => assert_eq!(text, "", "the prompt is read first"),
            Piece::Text(more) => text += &more,
            Piece::End { finish, tokens } => ended = Some((finish, tokens)),
        }
    }
    let (finish, tokens) = ended.expect("it ends");
    (text, finish, tokens)
}

fn said(text: &str) -> Vec<u32> {
    let mut tokens = bytes(text);
    tokens.push(END);
    tokens
}

#[test]
fn an_answer_ends_where_the_model_ends_it() {
    assert_eq!(answer(generation(said("Hi!"), 5, 100, &[])), ("Hi!".into(), Finish::Stop, 4));
    assert_eq!(answer(generation(said(""), 5, 100, &[])), (String::new(), Finish::Stop, 1));
}

#[test]
fn or_at_its_limit() {
    assert_eq!(answer(generation(said("Hello"), 5, 3, &[])), ("Hel".into(), Finish::Length, 3));
    assert_eq!(answer(generation(said("Hel"), 5, 4, &[])), ("Hel".into(), Finish::Stop, 4));
}

#[test]
fn or_before_a_stop_text() {
    let (text, finish, tokens) = answer(generation(said("one two three"), 5, 100, &["two", "x"]));
    assert_eq!((&text[..], finish, tokens), ("one ", Finish::Stop, 7));
}

#[test]
fn what_was_held_back_comes_at_the_end() {
    assert_eq!(answer(generation(said("a tw"), 5, 100, &["two"])).0, "a tw");
    assert_eq!(
        answer(generation(said("a two"), 5, 4, &["two"])),
        ("a tw".into(), Finish::Length, 4)
    );
    assert_eq!(answer(generation(said("é"), 5, 1, &[])).0, "\u{fffd}", "half a character");
}

#[test]
fn a_piece_never_ends_inside_a_character() {
    let whole = "né 👩‍👧!";
    let texts: Vec<String> = generation(said(whole), 1, 100, &[])
        .filter_map(|piece| match piece.expect("it is computed") {
            Piece::Text(text) => Some(text),
            _ => None,
        })
        .collect();
    assert_eq!(texts.len(), whole.len() + 1, "a piece for each token, its end among them");
    assert_eq!(texts.concat(), whole);
}

#[test]
fn the_prompt_is_read_in_parts_and_then_token_by_token() {
    let mut generation = generation(said("ok"), 2 * CHUNK + 5, 100, &[]);
    let of = 2 * CHUNK + 5;
    let reads: Vec<Piece> = generation.by_ref().take(4).map(Result::unwrap).collect();
    let expected = [0, CHUNK, 2 * CHUNK, of].map(|read| Piece::Reading { read, of });
    assert_eq!(reads, expected);
    assert_eq!(generation.by_ref().count(), 4, "two tokens, the end token, and the end");
    let heard: Vec<usize> = generation.network.heard.iter().map(Vec::len).collect();
    assert_eq!(heard, [CHUNK, CHUNK, 5, 1, 1], "the end token is not read");
}

#[test]
fn nothing_is_computed_before_it_is_asked_for() {
    let mut generation = generation(said("abc"), 5, 100, &[]);
    assert_eq!(generation.network.heard.len(), 0);
    generation.next();
    assert_eq!(generation.network.heard.len(), 0, "accepted, and not read");
    generation.next();
    generation.next();
    assert_eq!(generation.network.heard.len(), 1, "the first token follows from the prompt");
    generation.next();
    assert_eq!(generation.network.heard.len(), 2);
}

#[test]
fn an_error_is_the_last_item() {
    let mut generation = generation(bytes("a"), 5, 100, &[]);
    let failed = generation.by_ref().find(Result::is_err).expect("its words end").unwrap_err();
    assert!(failed.to_string().starts_with("out of words"), "{failed}");
    assert!(generation.next().is_none());
}
