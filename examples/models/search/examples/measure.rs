//! Measures what the README tells: `cargo run -p search --example measure`.
//!
//! `stages`, `throughput`, `overhead` or `index` after `--` measures that alone. What is compared runs in turns within one process, and of the rounds the median counts: so a
//! machine that slows down for a while slows both.
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::hint::black_box;
use std::time::Duration;
use std::{env, fs};

use instant_distance::{Builder, Point, Search as Walk};
use search::api::{Document, Question};
use search::embed::{Embed, EmbedHandle};
use search::encoder::Encoder;
use search::passages::passages;
use search::store::{Entry, Store, closest};
use search::vectors::{Embedding, dot, pooled};
use search::{Options, corpus, search};
use serve_core::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

const QUESTIONS: [&str; 8] = [
    "nobody believes a liar",
    "growing old",
    "who decides whether there is war",
    "an invitation that makes no sense",
    "help from someone small",
    "dropping pebbles into a jar to raise the water",
    "how can this document be amended",
    "comparing someone to a summer day",
];

#[tokio::main]
async fn main() -> Result<()> {
    let memory_before = memory();
    let encoder = Encoder::load()?;
    let loaded = memory();
    let passages = corpus_passages();
    println!("The corpus: {} passages", passages.len());
    println!("The model needs {:.0} MB", loaded - memory_before);

    let asked_for: Vec<String> = env::args().skip(1).collect();
    let wanted = |part: &str| asked_for.is_empty() || asked_for.iter().any(|one| one == part);
    if wanted("stages") {
        stages(&encoder).await?;
    }
    if wanted("throughput") {
        throughput(&encoder, &passages).await?;
    }
    if wanted("overhead") {
        overhead(&encoder, &passages).await?;
    }
    if wanted("index") {
        index(&encoder.embed(&passages[..256])?);
    }
    Ok(())
}

/// One question after the other, stage by stage.
async fn stages(encoder: &Encoder) -> Result<()> {
    let before = memory();
    let runtime = Runtime::builder().http(([127, 0, 0, 1], 0)).start().await?;
    let began = Instant::now();
    let app = runtime.run(search(Options::default())).await?;
    println!("Indexed and running after {:.1} s", began.elapsed().as_secs_f64());
    let embed = runtime.get_deployment_handle::<Embed>("default", "Embed")?;
    let address = runtime.http_address().expect("HTTP was asked for");
    let mut client = TcpStream::connect(address).await?;
    client.set_nodelay(true)?;

    let mut times = [const { Vec::new() }; 5];
    for round in 0..25 {
        for text in QUESTIONS {
            let mut took = [Duration::ZERO; 5];
            let began = Instant::now();
            black_box(encoder.tokenize(text)?);
            took[0] = began.elapsed();
            let began = Instant::now();
            black_box(encoder.embed(&[text])?);
            took[1] = began.elapsed();
            let began = Instant::now();
            black_box(embed.embed(text).await?);
            took[2] = began.elapsed();
            let began = Instant::now();
            black_box(app.search(question(text), None).await?);
            took[3] = began.elapsed();
            let began = Instant::now();
            black_box(get(&mut client, &text.replace(' ', "+")).await?);
            took[4] = began.elapsed();
            if round > 0 {
                times.iter_mut().zip(took).for_each(|(times, took)| times.push(took));
            }
        }
    }
    println!("\n## One question at a time\n\n| | median | 95 % |\n|---|---:|---:|");
    let names =
        ["its tokens", "`Encoder::embed`, called", "`Embed.embed`", "`Search.search`", "over HTTP"];
    for (name, times) in names.iter().zip(&mut times) {
        times.sort_unstable();
        let (half, most) = (times[times.len() / 2], times[times.len() * 95 / 100]);
        println!("| {name} | {:.3} ms | {:.3} ms |", ms(half), ms(most));
    }
    println!("\nThe application, with its corpus, needs {:.0} MB", memory() - before);
    runtime.shutdown().await;
    Ok(())
}

/// Texts a second by how many are asked for at a time, with one and two replicas.
async fn throughput(encoder: &Encoder, passages: &[String]) -> Result<()> {
    println!("\n## Texts a second\n");
    println!(
        "| at a time | questions, 1 replica | 2 replicas | passages, 1 replica | 2 replicas |"
    );
    println!("|---:|---:|---:|---:|---:|");
    let questions: Vec<String> =
        QUESTIONS.iter().cycle().take(512).map(ToString::to_string).collect();
    let passages: Vec<String> = passages.iter().take(256).cloned().collect();
    let runtime = Runtime::builder().start().await?;
    let one = runtime.run(Application::new(Embed::bind()).name("one")).await?;
    let two = runtime.run(Application::new(Embed::bind().num_replicas(2)).name("two")).await?;
    for at_a_time in [1, 8, 32, 64] {
        let mut row = Vec::new();
        for texts in [&questions, &passages] {
            for embed in [&one, &two] {
                row.push(rate(embed, texts, at_a_time).await?);
            }
        }
        println!("| {at_a_time} | {:.0} | {:.0} | {:.0} | {:.0} |", row[0], row[1], row[2], row[3]);
    }
    println!("\nThe encoder, called in a loop:\n");
    println!("| in a batch | questions | passages |\n|---:|---:|---:|");
    for batch in [1, 8, 32] {
        let mut row = Vec::new();
        for texts in [&questions, &passages] {
            let began = Instant::now();
            for texts in texts.chunks(batch) {
                black_box(encoder.embed(texts)?);
            }
            row.push(texts.len() as f64 / began.elapsed().as_secs_f64());
        }
        println!("| {batch} | {:.0} | {:.0} |", row[0], row[1]);
    }
    runtime.shutdown().await;
    Ok(())
}

async fn rate(embed: &EmbedHandle, texts: &[String], at_a_time: usize) -> Result<f64> {
    let began = Instant::now();
    let calls = futures::stream::iter(texts).map(|text| embed.embed(text));
    let done: Vec<_> = calls.buffer_unordered(at_a_time).try_collect().await?;
    Ok(done.len() as f64 / began.elapsed().as_secs_f64())
}

/// The same texts by a plain loop in batches, and through the deployment with two batches' worth
/// of calls at a time, in turns.
async fn overhead(encoder: &Encoder, passages: &[String]) -> Result<()> {
    println!("\n## Against a plain loop\n");
    println!("| | plain loop | through `Embed` | ratio |\n|---|---:|---:|---:|");
    let runtime = Runtime::builder().start().await?;
    let embed = runtime.run(Embed::bind()).await?;
    let questions = |count| QUESTIONS.iter().cycle().take(count).map(ToString::to_string);
    let (few, many): (Vec<_>, Vec<_>) = (questions(8).collect(), questions(512).collect());
    for (name, texts, batch, at_a_time, rounds) in [
        ("8 questions, one at a time", &few[..], 1, 1, 200),
        ("512 questions, in batches of 8", &many[..], 8, 16, 16),
        ("64 passages, in batches of 8", &passages[..64], 8, 16, 16),
    ] {
        let (mut plain, mut through, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds {
            let mut took = [0.0; 2];
            for turn in [round % 2, (round + 1) % 2] {
                let began = Instant::now();
                if turn == 0 {
                    for texts in texts.chunks(batch) {
                        black_box(encoder.embed(texts)?);
                    }
                } else {
                    black_box(rate(&embed, texts, at_a_time).await?);
                }
                took[turn] = ms(began.elapsed());
            }
            if round > 0 {
                plain.push(took[0]);
                through.push(took[1]);
                ratios.push(took[1] / took[0]);
            }
        }
        let [plain, through, ratio] = [plain, through, ratios].map(|mut numbers| {
            numbers.sort_by(f64::total_cmp);
            numbers[numbers.len() / 2]
        });
        println!("| {name} | {plain:.0} ms | {through:.0} ms | {ratio:.3} |");
    }
    runtime.shutdown().await;
    Ok(())
}

/// Searching among so many passages: every one, or a graph of neighbours (HNSW).
fn index(seeds: &[Embedding]) {
    println!("\n## Ten of so many passages\n");
    println!(
        "| passages | every one looked at | added, each | HNSW | added, each | of the ten are found \
         | memory |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    let mut noise = Noise(42);
    for size in [1_000, 10_000, 100_000] {
        let vectors: Vec<Embedding> =
            (0..size).map(|n| noise.around(&seeds[n % seeds.len()])).collect();
        let questions: Vec<Embedding> = (0..50).map(|n| noise.around(&seeds[n])).collect();

        let before = memory();
        let mut store = Store::new(size);
        let entry = |n: usize| {
            let id = n.to_string().try_into().expect("digits");
            Entry::new(id, Default::default(), vec![n.to_string()], &vectors[n..=n])
        };
        let entries: Vec<_> = (0..size).map(entry).collect();
        let began = Instant::now();
        for entries in entries.into_iter().map(|entry| vec![entry]) {
            store.add(entries).expect("there is room");
        }
        let adding = began.elapsed() / u32::try_from(size).expect("it fits");
        let held = memory() - before;
        let entries = store.entries();
        let (exact, looking) = timed(&questions, |question| {
            let hits = closest(&entries, question, 10);
            hits.iter().map(|hit| hit.passage.parse().expect("a number")).collect()
        });

        let began = Instant::now();
        let points = vectors.into_iter().map(Direction).collect();
        let graph = Builder::default().seed(7).build(points, (0..size).collect());
        let inserting = began.elapsed() / u32::try_from(size).expect("it fits");
        let (found, walking) = timed(&questions, |question| {
            let mut walk = Walk::default();
            let found = graph.search(&Direction(question.clone()), &mut walk);
            found.take(10).map(|found| *found.value).collect()
        });
        let same = |(exact, found): (&Vec<usize>, &Vec<usize>)| {
            exact.iter().filter(|n| found.contains(n)).count()
        };
        let same: usize = exact.iter().zip(&found).map(same).sum();
        println!(
            "| {size} | {:.2} ms | {:.1} µs | {:.2} ms | {:.0} µs | {:.1} % | {held:.0} MB |",
            ms(looking),
            ms(adding) * 1e3,
            ms(walking),
            ms(inserting) * 1e3,
            same as f64 / 5.0,
        );
    }
}

/// For the graph, which wants a distance.
#[derive(Clone)]
struct Direction(Embedding);

impl Point for Direction {
    fn distance(&self, other: &Self) -> f32 {
        1.0 - dot(&self.0, &other.0)
    }
}

fn timed(
    questions: &[Embedding],
    find: impl Fn(&Embedding) -> Vec<usize>,
) -> (Vec<Vec<usize>>, Duration) {
    let mut found = Vec::new();
    let mut took = Vec::new();
    for question in questions {
        let began = Instant::now();
        found.push(find(question));
        took.push(began.elapsed());
    }
    took.sort_unstable();
    (found, took[took.len() / 2])
}

fn corpus_passages() -> Vec<String> {
    let documents: Vec<Document> = corpus::own().expect("they fit");
    documents.iter().flat_map(|document| passages(document.text.as_str())).collect()
}

fn question(text: &str) -> Question {
    text.to_owned().try_into().expect("a question")
}

async fn get(client: &mut TcpStream, question: &str) -> Result<Vec<u8>> {
    let request = format!("GET /search?q={question} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        client.read_buf(&mut answer).await?;
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if length.is_some_and(|length| length == body.len().to_string()) {
            return Ok(answer);
        }
    }
}

/// Of this process, in MB.
fn memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes =
        resident.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) / 1e3
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Directions in the neighbourhood of others, as those of passages are: a sum of even noise, whose
/// length is about that of what it is added to.
struct Noise(u64);

impl Noise {
    fn around(&mut self, seed: &Embedding) -> Embedding {
        let moved: Vec<f32> = seed.iter().map(|number| number + 0.15 * self.next()).collect();
        pooled(&moved)
    }

    /// From -0.5 to 0.5; xorshift64.
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
    }
}
