//! What the README says of speed and memory, measured here:
//!
//! `CANDLE_NUM_THREADS=1 cargo run -p chat --example measure_chat`
//!
//! The same answers are computed in a plain loop, through the handle of a deployment, and over
//! HTTP, in turns, so that whatever else the machine does meets all three alike. A ratio is the
//! median of the rounds' ratios.
#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use chat::model::{Llama, Message, Piece, Role};
use chat::{
    Generate, GenerateError, GenerateHandle, Library, ModelSettings, OpenAi, Settings, Wish, begin,
};
use serve_core::futures::future::try_join_all;
use serve_core::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

const ROUNDS: usize = 16;
const TOKENS: usize = 32;

/// When an answer was accepted, when its first token came and when it ended, in seconds.
#[derive(Clone, Copy)]
struct Took {
    first: f64,
    whole: f64,
    tokens: usize,
}

fn wish() -> Wish {
    Wish { max_tokens: Some(TOKENS), temperature: Some(0.0), ..Wish::default() }
}

fn question() -> Vec<Message> {
    let text = "Tell me a long story about a ship, a storm and an island.".to_owned();
    vec![Message { role: Role::User, text }]
}

fn plain(llama: &Llama, settings: &ModelSettings) -> Result<Took> {
    let began = Instant::now();
    let mut first = None;
    for piece in begin(llama, settings, &question(), wish())? {
        match piece? {
            Piece::Reading { .. } => {}
            Piece::Text(_) => first = first.or_else(|| Some(began.elapsed().as_secs_f64())),
            Piece::End { tokens, .. } => {
                let whole = began.elapsed().as_secs_f64();
                return Ok(Took { first: first.unwrap_or(whole), whole, tokens });
            }
        }
    }
    Err(Error::msg("the answer has no end"))
}

async fn through_a_handle(generate: &GenerateHandle) -> Result<Took> {
    let began = Instant::now();
    let mut pieces: ResponseStream<Piece, GenerateError> = generate.answer(question(), wish());
    let mut first = None;
    while let Some(piece) = pieces.next().await {
        match piece? {
            Piece::Reading { .. } => {}
            Piece::Text(_) => first = first.or_else(|| Some(began.elapsed().as_secs_f64())),
            Piece::End { tokens, .. } => {
                let whole = began.elapsed().as_secs_f64();
                return Ok(Took { first: first.unwrap_or(whole), whole, tokens });
            }
        }
    }
    Err(Error::msg("the answer has no end"))
}

async fn over_http(address: SocketAddr, model: &str, tokens: usize) -> Result<Took> {
    let began = Instant::now();
    let Message { text, .. } = &question()[0];
    let body = serde_json::json!({
        "model": model, "messages": [{"role": "user", "content": text}],
        "stream": true, "temperature": 0, "max_tokens": TOKENS,
    });
    let body = body.to_string();
    let mut socket = TcpStream::connect(address).await?;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body.as_bytes()).await?;
    let (mut read, mut first) = (Vec::new(), None);
    while socket.read_buf(&mut read).await? > 0 {
        let came = |text: &str| read.windows(text.len()).any(|w| w == text.as_bytes());
        if first.is_none() && came("\"delta\":{\"content\"") {
            first = Some(began.elapsed().as_secs_f64());
        }
    }
    let whole = began.elapsed().as_secs_f64();
    if !String::from_utf8_lossy(&read).contains("[DONE]") {
        return Err(Error::msg("the answer over HTTP has no end"));
    }
    Ok(Took { first: first.unwrap_or(whole), whole, tokens })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "a handful of tokens")]
fn row(what: &str, took: &[Took], against: &[Took]) {
    let of = |value: fn(&Took) -> f64| median(took.iter().map(value).collect());
    let writing = of(|t| (t.tokens as f64 - 1.0) / (t.whole - t.first));
    let ratio = took.iter().zip(against).map(|(t, a)| t.whole / a.whole).collect();
    println!(
        "| {what} | {:.0} ms | {:.1} ms | {writing:.1} | {:+.2} % |",
        1e3 * of(|t| t.first),
        1e3 * of(|t| t.whole),
        1e2 * (median(ratio) - 1.0)
    );
}

/// What this process has in memory, in MB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1_024 / 1_000_000
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand tokens")]
fn prompts(llama: &Llama) -> Result<()> {
    use chat::model::Network as _;
    println!("\n| tokens of the prompt | read in | tokens a second | then, tokens a second |");
    println!("|---|---|---|---|");
    for length in [64, 256, 1_024, 2_048] {
        let tokens = llama.tokenizer().encode(&"The ship sails on. ".repeat(length));
        let mut session = llama.session();
        let began = Instant::now();
        for chunk in tokens[..length].chunks(16) {
            session.read(chunk)?;
        }
        let read = began.elapsed().as_secs_f64();
        let began = Instant::now();
        for token in &tokens[..16] {
            session.read(&[*token])?;
        }
        let then = 16.0 / began.elapsed().as_secs_f64();
        println!("| {length} | {read:.1} s | {:.0} | {then:.0} |", length as f64 / read);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let settings = Settings::default().models.remove(0);
    let models = vec![settings.clone()];
    let library = Library::default();
    let empty = resident();
    let began = Instant::now();
    let llama = library.open(None).await?;
    println!("loaded in {:.2} s, {} MB", began.elapsed().as_secs_f64(), resident() - empty);

    let runtime = Runtime::builder().http(([127, 0, 0, 1], 0)).start().await?;
    let address = runtime.http_address().ok_or_else(|| Error::msg("no address"))?;
    let generate = || Generate::bind(library.clone(), models.clone());
    let ingress = OpenAi::bind(generate(), models.clone());
    runtime.run(Application::new(ingress).name("http")).await?;
    let handle = runtime.run(Application::new(generate()).name("handle")).await?;
    let handle = handle.options(CallOptions::new().multiplexed_model_id(&settings.id));

    let (mut alone, mut handled, mut served) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (llama, settings) = (Arc::clone(&llama), settings.clone());
        let id = settings.id.clone();
        let computing = tokio::task::spawn_blocking(move || plain(&llama, &settings));
        let took = computing.await.map_err(|error| Error::msg(error.to_string()))??;
        let through = through_a_handle(&handle).await?;
        let over = over_http(address, &id, took.tokens).await?;
        // The first round warms up.
        if round > 0 {
            alone.push(took);
            handled.push(through);
            served.push(over);
        }
    }
    println!("\n| {TOKENS} tokens | the first | all | tokens a second | against the loop |");
    println!("|---|---|---|---|---|");
    row("a plain loop", &alone, &alone);
    row("through a handle", &handled, &alone);
    row("over HTTP, as events", &served, &alone);

    let llama_for_prompts = Arc::clone(&llama);
    let computing = tokio::task::spawn_blocking(move || prompts(&llama_for_prompts));
    computing.await.map_err(|error| Error::msg(error.to_string()))??;

    println!("\n| replicas | 8 answers at once in | tokens a second | memory |");
    println!("|---|---|---|---|");
    for replicas in [1, 2] {
        let app = Application::new(generate().num_replicas(replicas)).name("replicas");
        let handle = runtime.run(app).await?;
        let handle = handle.options(CallOptions::new().multiplexed_model_id(&settings.id));
        try_join_all((0..replicas).map(|_| through_a_handle(&handle))).await?;
        let began = Instant::now();
        let took = try_join_all((0..8).map(|_| through_a_handle(&handle))).await?;
        let all = began.elapsed().as_secs_f64();
        let tokens: usize = took.iter().map(|took| took.tokens).sum();
        #[expect(clippy::cast_precision_loss, reason = "some hundred tokens")]
        let speed = tokens as f64 / all;
        println!("| {replicas} | {all:.1} s | {speed:.0} | {} MB |", resident());
    }
    runtime.shutdown().await;
    Ok(())
}
