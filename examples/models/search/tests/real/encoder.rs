//! The encoder against the original: `tests/reference` has what Hugging Face's tokenizer and
//! `onnxruntime` make of the same texts, and `make.py` there says how.

use std::sync::LazyLock;

use search::encoder::Encoder;
use search::passages::passages;
use search::tokens::MAX_TOKENS;
use search::vectors::dot;
use serde::Deserialize;

static ENCODER: LazyLock<Encoder> = LazyLock::new(|| Encoder::load().unwrap());

#[derive(Deserialize)]
struct Tokenized {
    text: String,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Embedded {
    text: String,
    vector: Vec<f32>,
}

fn tokenized() -> Vec<Tokenized> {
    let lines = include_str!("../reference/tokens.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn embedded() -> Vec<Embedded> {
    serde_json::from_str(include_str!("../reference/vectors.json")).unwrap()
}

#[test]
fn the_ids_are_those_of_the_original() {
    let texts = tokenized();
    assert!(texts.len() > 200);
    let of = |text: &str| ENCODER.tokenize(text).unwrap();
    let wrong: Vec<_> = texts.iter().filter(|it| of(&it.text) != it.ids).collect();
    let said =
        wrong.iter().map(|it| format!("{:?}\n  {:?}\n  {:?}", it.text, it.ids, of(&it.text)));
    assert!(wrong.is_empty(), "{}", said.collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_vectors_are_those_of_the_original() {
    for Embedded { text, vector } in embedded() {
        let own = &ENCODER.embed(&[&text]).unwrap()[0];
        let cosine = dot(own, &vector) / dot(&vector, &vector).sqrt();
        assert!(cosine > 0.99, "{cosine}: {text:?}");
        assert!((dot(own, own) - 1.0).abs() < 1e-4, "its length is 1: {text:?}");
    }
}

/// The model quantizes what it computes by the largest number of a whole batch, so that its
/// neighbours move a text a little.
#[test]
fn a_text_is_almost_the_same_in_any_batch() {
    let texts: Vec<String> = embedded().into_iter().map(|it| it.text).collect();
    let together = ENCODER.embed(&texts).unwrap();
    for (text, vector) in texts.iter().zip(&together) {
        let alone = &ENCODER.embed(&[text]).unwrap()[0];
        let cosine = dot(alone, vector);
        assert!(cosine > 0.98, "{cosine}: {text:?}");
    }
    assert!(ENCODER.embed::<&str>(&[]).unwrap().is_empty());
}

#[test]
fn what_means_the_same_is_closer_than_what_does_not() {
    for (one, same, other) in [
        (
            "the cat sat on the mat",
            "a feline rested upon a rug",
            "stock markets fell sharply today",
        ),
        ("how do I cook rice", "recipe for boiled rice", "interest rates and inflation"),
        ("The boy who cried wolf", "nobody believes a liar", "two thirds of both Houses"),
        ("freedom of the press", "newspapers may print what they like", "a rose smells sweet"),
    ] {
        let vectors = ENCODER.embed(&[one, same, other]).unwrap();
        let (near, far) = (dot(&vectors[0], &vectors[1]), dot(&vectors[0], &vectors[2]));
        assert!(near > far + 0.1, "{one}: {near} {far}");
    }
}

#[test]
fn passages_are_read_whole() {
    let corpus = search::corpus::own().unwrap();
    let texts = corpus.iter().map(|document| document.text.as_str().to_owned());
    // Alphabets, signs and scripts that cost the most tokens a letter.
    let hard = tokenized().into_iter().map(|it| it.text.repeat(400));
    for text in texts.chain(hard) {
        for passage in passages(&text) {
            let count = ENCODER.tokenize(&passage).unwrap().len();
            assert!(count < MAX_TOKENS, "{count} tokens: {passage}");
        }
    }
}
