//! Measures the pipeline: `cargo run --example measure -- [plot.svg]`.
//!
//! Prints the tables of the README: time by stage, what the framework costs against the same
//! deployments called in a plain loop, throughput with one and two replicas of `Recognise`, and
//! memory. With a path it draws the throughput there. Takes three minutes.

#![expect(clippy::print_stdout, reason = "its tables are for people")]

mod chart;

use std::time::Duration;

use futures::future::try_join_all;
use ocr::{Corners, Decode, Detect, Options, Orient, Page, Recognise, Strip};
use serve_core::prelude::*;
use tokio::time::{Instant, sleep};

/// 9 lines, on which the stages are compared.
const PNG: &[u8] = include_bytes!("../../../page.png");

/// 25 lines, as many as a page of text might have, for the throughput.
const TEXT: &[u8] = include_bytes!("../../tests/pages/columns.png");

/// What `Orient` and `Recognise` put into one batch.
const ORIENT_BATCH: usize = 16;
const RECOGNISE_BATCH: usize = 3840;

/// Rounds of the comparison, a page each, by turns.
const ROUNDS: usize = 15;

/// How long each number of replicas is measured.
const PHASE: Duration = Duration::from_secs(30);

/// What counts of it begins later: the first pages of a phase belong to the one before.
const SETTLING: Duration = Duration::from_secs(4);

/// How many pages are on their way at a time.
const PAGES: usize = 4;

#[tokio::main]
async fn main() -> Result<()> {
    let plot = std::env::args().nth(1);
    println!("memory: {} MB at first", resident());

    let runtime = Runtime::builder().start().await?;
    let fixed = |replicas| Options { recognise: std::num::NonZeroUsize::new(replicas) };
    let reader = runtime.run(ocr::ocr(fixed(1))).await?;
    println!("memory: {} MB with the models loaded", resident());

    overhead(&runtime, &reader).await?;
    println!("memory: {} MB after single pages", resident());

    let began = Instant::now();
    let busy: Vec<_> = (0..PAGES).map(|_| tokio::spawn(read_on(reader.clone(), began))).collect();
    sleep(PHASE).await;
    println!("memory: {} MB with {PAGES} pages at a time, 1 replica", resident());
    runtime.run(ocr::ocr(fixed(2))).await?;
    sleep(PHASE).await;
    println!("memory: {} MB with {PAGES} pages at a time, 2 replicas", resident());
    let mut lines = Vec::new();
    for reading in busy {
        lines.extend(reading.await??);
    }

    println!("\n| replicas of `Recognise` | lines a second |\n|---|---|");
    let mut means = Vec::new();
    for phase in 0..2 {
        let from = PHASE * phase + SETTLING;
        let to = PHASE * (phase + 1);
        let count = lines.iter().filter(|at| (from..to).contains(*at)).count();
        means.push(count as f64 / (to - from).as_secs_f64());
        println!("| {} | {:.1} |", phase + 1, means[phase as usize]);
    }
    if let Some(path) = plot {
        std::fs::write(&path, chart::throughput(&lines, PHASE, &means))?;
        println!("\n{path} is drawn");
    }
    Ok(())
}

/// Reads the page again and again, for two phases; gives when each line was there.
async fn read_on(reader: ocr::ReaderHandle, began: Instant) -> Result<Vec<Duration>> {
    let mut lines = Vec::new();
    while began.elapsed() < 2 * PHASE {
        let mut page = reader.read(Bytes::from_static(TEXT));
        while let Some(line) = page.next().await {
            line?;
            lines.push(began.elapsed());
        }
    }
    Ok(lines)
}

/// Compares the same steps, in the same batches, in a plain loop and through handles, by turns;
/// and the pipeline itself, in which the steps overlap.
async fn overhead(runtime: &Runtime, reader: &ocr::ReaderHandle) -> Result<()> {
    let plain = tokio::task::spawn_blocking(Plain::new).await??;
    let plain = std::sync::Arc::new(plain);
    let handles = Handles {
        decode: runtime.get_deployment_handle::<Decode>("default", "Decode")?,
        detect: runtime.get_deployment_handle::<Detect>("default", "Detect")?,
        orient: runtime.get_deployment_handle::<Orient>("default", "Orient")?,
        recognise: runtime.get_deployment_handle::<Recognise>("default", "Recognise")?,
    };
    let mut columns = [Vec::new(), Vec::new(), Vec::new()];
    let mut stages = Vec::new();
    for round in 0..=ROUNDS {
        let alone = std::sync::Arc::clone(&plain);
        let alone = tokio::task::spawn_blocking(move || alone.read()).await??;
        let through = handles.read().await?;
        let began = Instant::now();
        let _: Vec<_> = reader.read(Bytes::from_static(PNG)).try_collect().await?;
        let pipeline = began.elapsed();
        // The first round warms up.
        if round > 0 {
            stages.push(alone);
            let totals = [alone.iter().sum(), through.iter().sum(), pipeline];
            for (column, time) in columns.iter_mut().zip(totals) {
                column.push(time);
            }
        }
    }

    println!("\n| stage | ms a page | of it a line |\n|---|---|---|");
    let lines = 9;
    for (stage, name) in ["decode", "detect", "orient", "recognise"].into_iter().enumerate() {
        let ms = median(stages.iter().map(|times| times[stage].as_secs_f64() * 1e3).collect());
        let line = if stage < 2 { String::new() } else { format!("{:.1}", ms / f64::from(lines)) };
        println!("| {name} | {ms:.1} | {line} |");
    }
    println!("\n| a page | ms | against the loop |\n|---|---|---|");
    for (column, name) in
        ["plain loop", "the same through handles", "the pipeline"].iter().enumerate()
    {
        let ms = median(columns[column].iter().map(|time| time.as_secs_f64() * 1e3).collect());
        let ratios = columns[column].iter().zip(&columns[0]);
        let ratio = median(ratios.map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()).collect());
        println!("| {name} | {ms:.1} | {:+.1} % |", 100.0 * (ratio - 1.0));
    }
    println!();
    Ok(())
}

/// Times of decode, detect, orient and recognise.
type Stages = [Duration; 4];

/// The deployments as what they are: structs.
struct Plain {
    detect: Detect,
    orient: Orient,
    recognise: Recognise,
}

impl Plain {
    fn new() -> Result<Self> {
        Ok(Self { detect: Detect::new()?, orient: Orient::new()?, recognise: Recognise::new()? })
    }

    fn read(&self) -> Result<Stages> {
        let mut watch = Watch::new();
        let page = Decode.page(Bytes::from_static(PNG)).map_err(Error::from)?;
        let decode = watch.lap();
        let boxes = self.detect.lines(page.clone())?;
        let detect = watch.lap();
        let mut strips = Vec::new();
        for boxes in boxes.chunks(ORIENT_BATCH) {
            strips.extend(self.orient.upright(vec![page.clone(); boxes.len()], boxes.to_vec())?);
        }
        let orient = watch.lap();
        for batch in batches(strips) {
            self.recognise.read(batch)?;
        }
        Ok([decode, detect, orient, watch.lap()])
    }
}

/// As the framework makes them: as many as fit, first come, first served.
fn batches(strips: Vec<Strip>) -> Vec<Vec<Strip>> {
    let mut batches: Vec<Vec<Strip>> = Vec::new();
    for strip in strips {
        let weight = |batch: &[Strip]| batch.iter().map(|strip| strip.width).sum::<usize>();
        match batches.last_mut() {
            Some(batch) if weight(batch) + strip.width <= RECOGNISE_BATCH => batch.push(strip),
            _ => batches.push(vec![strip]),
        }
    }
    batches
}

struct Handles {
    decode: ocr::DecodeHandle,
    detect: ocr::DetectHandle,
    orient: ocr::OrientHandle,
    recognise: ocr::RecogniseHandle,
}

impl Handles {
    async fn read(&self) -> Result<Stages> {
        let mut watch = Watch::new();
        let page: Page = self.decode.page(Bytes::from_static(PNG)).await?;
        let decode = watch.lap();
        let boxes: Vec<Corners> = self.detect.lines(page.clone()).await?;
        let detect = watch.lap();
        let strips = boxes.iter().map(|corners| self.orient.upright(page.clone(), *corners));
        let strips = try_join_all(strips).await?;
        let orient = watch.lap();
        try_join_all(strips.into_iter().map(|strip| self.recognise.read(strip))).await?;
        Ok([decode, detect, orient, watch.lap()])
    }
}

struct Watch(Instant);

impl Watch {
    fn new() -> Self {
        Self(Instant::now())
    }

    fn lap(&mut self) -> Duration {
        let lap = self.0.elapsed();
        self.0 = Instant::now();
        lap
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The memory of this process, in MB; 0 where Linux does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
    kilobytes.unwrap_or(0_u64) / 1_000
}
