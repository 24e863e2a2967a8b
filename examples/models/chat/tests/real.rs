//! With the real weights, which are fetched if they are not there.
#![expect(unreachable_pub, reason = "a handle has the public methods, and a test no public face")]

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use candle_core::quantized::gguf_file::Content;
use chat::model::{Finish, Llama, Message, Network as _, Piece, Role, chat_ml};
use chat::{
    Generate, GenerateError, GenerateHandle, Library, ModelSettings, SMOLLM2, Settings, Wish, begin,
};
use serve_core::prelude::*;

/// What the GGUF file says of its messages, and the model in it.
static MODEL: LazyLock<(String, Arc<Llama>)> = LazyLock::new(|| {
    let gguf = SMOLLM2.read().expect("the weights are there, or can be fetched");
    let content = Content::read(&mut Cursor::new(&gguf)).expect("it is a GGUF file");
    let template = content.metadata["tokenizer.chat_template"].to_string().expect("text").clone();
    (template, Arc::new(Llama::read(&gguf).expect("it is a model")))
});

fn llama() -> Arc<Llama> {
    Arc::clone(&MODEL.1)
}

fn instruct() -> ModelSettings {
    Settings::default().models.remove(0)
}

fn says(role: Role, text: &str) -> Message {
    Message { role, text: text.to_owned() }
}

fn question() -> Vec<Message> {
    vec![says(Role::User, "Tell me a story about a café in Zürich 🎉.")]
}

fn short(tokens: usize) -> Wish {
    Wish { max_tokens: Some(tokens), seed: 7, ..Wish::default() }
}

/// An answer without any framework: its pieces' texts, and how it ended.
fn answer(messages: &[Message], wish: Wish) -> (Vec<String>, Finish, usize) {
    let generation = begin(&llama(), &instruct(), messages, wish).expect("it fits");
    let mut texts = Vec::new();
    for piece in generation {
        match piece.expect("it is computed") {
            Piece::Reading { .. } => {}
            Piece::Text(text) => texts.push(text),
            Piece::End { finish, tokens } => return (texts, finish, tokens),
        }
    }
    panic!("it has no end");
}

#[test]
fn text_has_the_tokens_that_hugging_faces_tokenizer_gives() {
    // By the Python package `tokenizers` 0.23, from the vocabulary and the merges of the file,
    // with the pre-tokenizers of SmolLM2's `tokenizer.json` (single digits, byte level).
    let expected: [(&str, &[u32]); 14] = [
        ("Hello, world!", &[19556, 28, 905, 17]),
        ("  two  spaces", &[216, 827, 216, 5600]),
        ("12345 and 3.14", &[33, 34, 35, 36, 37, 284, 216, 35, 30, 33, 36]),
        (
            "It's what they've said, don't you'll?",
            &[1589, 506, 732, 502, 3543, 1137, 28, 1326, 982, 346, 3060, 47],
        ),
        ("naïve café – Größe", &[3546, 46494, 37366, 816, 9171, 7466, 34878, 85]),
        (
            "日本語のテキスト",
            &[
                23274, 115, 40993, 179, 120, 248, 26453, 11100, 224, 10391, 251, 10391, 134, 11100,
                226,
            ],
        ),
        (
            "👩‍👩‍👧 family 🎉",
            &[
                10813, 235, 119, 321, 231, 10813, 235, 119, 321, 231, 10813, 235, 117, 1564, 15107,
                232, 227,
            ],
        ),
        ("line\n\n\n  next\ttab ", &[1311, 1116, 3805, 1867, 197, 15999, 216]),
        ("", &[]),
        ("\r\n", &[2738]),
        ("½ ² Ⅷ ௧", &[16738, 216, 19133, 216, 173, 223, 117, 216, 33535, 117]),
        ("<|im_e", &[44, 108, 306, 79, 85]),
        (
            "<|im_end|>\n<|im_start|>system",
            &[44, 108, 306, 79, 486, 108, 46, 198, 44, 108, 306, 79, 3738, 108, 46, 9690],
        ),
        (
            "fn main() { println!(\"{}\", 42); }",
            &[7853, 1085, 1000, 1662, 1628, 34115, 17, 43331, 1002, 216, 36, 34, 4258, 4029],
        ),
    ];
    let llama = llama();
    let tokenizer = llama.tokenizer();
    assert_eq!((tokenizer.start(), tokenizer.end()), (1, 2));
    for (text, tokens) in expected {
        assert_eq!(tokenizer.encode(text), tokens, "{text:?}");
        let bytes: Vec<u8> = tokens.iter().flat_map(|t| tokenizer.bytes(*t)).copied().collect();
        assert_eq!(bytes, text.as_bytes());
    }
}

#[test]
fn a_prompt_is_what_the_files_own_template_makes_of_it() {
    let messages = [
        says(Role::User, "What is 2+2?"),
        says(Role::Assistant, "4"),
        says(Role::User, "And a café? 🎉\n"),
    ];
    let with_system = [&[says(Role::System, "Rhyme.")], &messages[..]].concat();
    for messages in [&messages[..1], &messages, &with_system] {
        let llama = llama();
        let tokenizer = llama.tokenizer();
        let tokens = chat_ml::encode(messages, &instruct().system, tokenizer);
        let written: Vec<u8> = tokens
            .iter()
            .flat_map(|token| match token {
                1 => b"<|im_start|>",
                2 => b"<|im_end|>".as_slice(),
                token => tokenizer.bytes(*token),
            })
            .copied()
            .collect();
        let template_messages: Vec<HashMap<&str, &str>> = messages
            .iter()
            .map(|message| {
                let role = match message.role {
                    Role::System => "system",
                    Role::User => "user",
                    Role::Assistant => "assistant",
                };
                HashMap::from([("role", role), ("content", &message.text)])
            })
            .collect();
        let context =
            minijinja::context! { messages => template_messages, add_generation_prompt => true };
        let rendered = minijinja::Environment::new().render_str(&MODEL.0, context);
        let rendered = rendered.expect("it is a template");
        assert_eq!(String::from_utf8(written).expect("text"), rendered);
    }
    // The same tokens as the Python package's, with its special tokens.
    let tokens = chat_ml::encode(&messages[..1], &instruct().system, llama().tokenizer());
    let expected = [
        1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018, 411,
        407, 19712, 8182, 2, 198, 1, 4093, 198, 1780, 314, 216, 34, 27, 34, 47, 2, 198, 1, 520,
        9531, 198,
    ];
    assert_eq!(tokens, expected);
}

#[test]
fn an_answer_has_tokens_and_ends() {
    let (texts, finish, tokens) = answer(&question(), short(12));
    assert!(!texts.concat().trim().is_empty(), "{texts:?}");
    assert!((1..=12).contains(&tokens), "{tokens}");
    assert_eq!(texts.len(), tokens, "a piece for each token");
    assert_eq!(finish == Finish::Length, tokens == 12 && !texts[11].is_empty(), "{texts:?}");
}

#[test]
fn the_same_seed_gives_the_same_text() {
    let warm = || Wish { temperature: Some(1.0), ..short(8) };
    assert_eq!(answer(&question(), warm()), answer(&question(), warm()));
}

#[test]
fn an_answer_ends_before_its_stop_text() {
    let whole = answer(&question(), short(12)).0.concat();
    // Whatever it says, it stops before a part of it.
    let at = whole.char_indices().nth(4).expect("more than four characters").0;
    let stop: String = whole[at..].chars().take(2).collect();
    let first = whole.find(&stop).expect("it is in there");
    let (texts, finish, _) = answer(&question(), Wish { stop: vec![stop], ..short(12) });
    assert_eq!((texts.concat(), finish), (whole[..first].to_owned(), Finish::Stop));
}

#[test]
fn what_was_read_in_parts_was_read_as_a_whole() {
    let tokens = llama().tokenizer().encode("The quick brown fox jumps over the lazy dog");
    let whole = llama().session().read(&tokens).expect("computed");
    let mut session = llama().session();
    session.read(&tokens[..4]).expect("computed");
    let parts = session.read(&tokens[4..]).expect("computed");
    let mean = |scores: &[f32]| scores.iter().sum::<f32>() / scores.len() as f32;
    let (a, b) = (mean(&whole), mean(&parts));
    let along: f32 = whole.iter().zip(&parts).map(|(x, y)| (x - a) * (y - b)).sum();
    let size = |scores: &[f32], m: f32| scores.iter().map(|x| (x - m).powi(2)).sum::<f32>().sqrt();
    let alike = along / (size(&whole, a) * size(&parts, b));
    assert!(alike > 0.99, "correlation {alike}");
}

#[test]
fn a_conversation_that_does_not_fit_is_refused() {
    let long = [says(Role::User, &"word ".repeat(5_000))];
    let error = begin(&llama(), &instruct(), &long, short(1)).expect_err("too long");
    assert!(
        matches!(error, GenerateError::TooLong { context: 4_096, prompt, .. } if prompt > 5_000)
    );
}

#[tokio::test]
async fn replicas_and_models_share_a_file() -> Result<()> {
    let library = Library::default();
    let (one, other) = tokio::join!(library.open(None), library.open(None));
    assert!(Arc::ptr_eq(&one?, &other?));
    Ok(())
}

/// Reads a stream to its end: the text, and its tokens.
async fn read(
    mut pieces: ResponseStream<Piece, GenerateError>,
) -> Result<(String, usize), CallError<GenerateError>> {
    let mut text = String::new();
    while let Some(piece) = pieces.next().await {
        match piece? {
            Piece::Reading { .. } => {}
            Piece::Text(more) => text += &more,
            Piece::End { tokens, .. } => return Ok((text, tokens)),
        }
    }
    panic!("it has no end");
}

fn of_model(generate: &GenerateHandle, id: &str) -> GenerateHandle {
    generate.options(CallOptions::new().multiplexed_model_id(id))
}

#[tokio::test]
async fn two_models_are_served_and_a_third_is_not() -> Result<()> {
    let runtime = Runtime::builder().start().await?;
    let models = Settings::default().models;
    let generate = runtime.run(Generate::bind(Library::default(), models.clone())).await?;
    for model in &models {
        let answer = of_model(&generate, &model.id).answer(question(), short(4));
        let (text, tokens) = read(answer).await?;
        assert!(!text.is_empty() && (1..=4).contains(&tokens), "{text:?}, {tokens}");
    }
    let error = read(of_model(&generate, "gpt-4o").answer(question(), short(4))).await;
    assert!(error.expect_err("no such model").to_string().contains("`gpt-4o` does not exist"));
    Ok(())
}

#[tokio::test]
async fn a_deadline_ends_an_answer_and_frees_the_replica() -> Result<()> {
    let runtime = Runtime::builder().start().await?;
    let generate = runtime.run(Generate::bind(Library::default(), vec![instruct()])).await?;
    let options = CallOptions::new().multiplexed_model_id(instruct().id);
    let hasty = generate.options(options.timeout(Duration::from_millis(200)));
    let endless = Wish { max_tokens: None, temperature: Some(2.0), ..short(1) };
    let error = read(hasty.answer(question(), endless)).await.expect_err("it takes longer");
    assert_eq!(error, CallError::DeadlineExceeded);
    read(of_model(&generate, &instruct().id).answer(question(), short(1))).await?;
    Ok(())
}

/// [`Generate`], with every piece counted as it is made.
#[deployment(max_ongoing_requests = 1)]
struct Counted {
    made: Arc<AtomicUsize>,
}

#[handle]
impl Counted {
    fn new(made: Arc<AtomicUsize>) -> Self {
        Self { made }
    }

    #[blocking]
    pub fn answer(
        &self,
        messages: Vec<Message>,
        wish: Wish,
    ) -> Result<impl Iterator<Item = Result<Piece, GenerateError>>, GenerateError> {
        let generation = begin(&llama(), &instruct(), &messages, wish)?;
        let pieces =
            generation.map(|p| p.map_err(|error| GenerateError::Failed(error.to_string())));
        Ok(pieces.inspect(|_| {
            self.made.fetch_add(1, Ordering::SeqCst);
        }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_an_answer_frees_the_replica_within_one_token() -> Result<()> {
    let made = Arc::new(AtomicUsize::new(0));
    let runtime = Runtime::builder().start().await?;
    let counted = runtime.run(Counted::bind(Arc::clone(&made))).await?;
    // Nobody but the limit ends it: it is far away.
    let endless =
        Wish { max_tokens: Some(3_000), temperature: Some(2.0), seed: 7, ..Wish::default() };

    // While the prompt is read, and in the middle of the answer.
    for before in [3, 20] {
        made.store(0, Ordering::SeqCst);
        let mut pieces = counted.answer(question(), endless.clone());
        for _ in 0..before {
            pieces.next().await.expect("it goes on")?;
        }
        drop(pieces);
        let at_the_drop = made.load(Ordering::SeqCst);
        // The one replica takes this only when it is free.
        let (first, last) = (
            counted.answer(question(), short(1)),
            Piece::End { finish: Finish::Length, tokens: 1 },
        );
        let pieces: Vec<Piece> = first.try_collect().await?;
        assert_eq!(pieces.last(), Some(&last));
        let after = made.load(Ordering::SeqCst) - pieces.len() - at_the_drop;
        assert!(after <= 1, "{after} more after the drop");
    }
    Ok(())
}
