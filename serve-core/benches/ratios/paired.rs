//! Two sides measured in turns, and the ratio between them.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// How long one side runs in one round, give or take a half. Long enough to drown the reading of the clock,
/// short enough that both sides of a round meet the same machine.
const TURN: Duration = Duration::from_millis(4);
/// Rounds to a ratio.
const ROUNDS: usize = 151;

/// What the futures run on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// tokio's current-thread runtime.
    One,
    /// tokio's multi-thread runtime with two workers.
    Two,
}

impl Threads {
    /// Runs `measure` inside a fresh runtime, on one of its workers: that is where calls
    /// are made from.
    pub(crate) fn run<F: Future<Output = ()>>(self, measure: impl FnOnce() -> F) {
        let mut builder = match self {
            Self::One => tokio::runtime::Builder::new_current_thread(),
            Self::Two => tokio::runtime::Builder::new_multi_thread(),
        };
        let runtime = builder.worker_threads(2).enable_all().build().expect("threads can start");
        runtime.block_on(measure());
    }
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "1 thread",
            Self::Two => "2 workers",
        })
    }
}

/// A ratio: the median over the rounds, and the middle half of them.
#[derive(Clone, Copy)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    /// Median times of one repetition, to see what the ratio is of. They are the
    /// machine's, and no goal.
    pub(crate) subject: Duration,
    pub(crate) baseline: Duration,
}

/// Measures `subject` against `baseline`. Each is given how often to repeat itself.
///
/// The sides run on a worker of the runtime rather than on the thread that built it,
/// which a multi-thread runtime would have to be woken from.
pub(crate) async fn paired<A, B>(
    subject: impl Fn(usize) -> A + Send + Sync + 'static,
    baseline: impl Fn(usize) -> B + Send + Sync + 'static,
) -> Ratio
where
    A: Future<Output = ()> + Send + 'static,
    B: Future<Output = ()> + Send + 'static,
{
    let rounds = tokio::spawn(async move {
        let (subject_repeats, baseline_repeats) =
            (calibrated(&subject).await, calibrated(&baseline).await);
        let mut rounds = Vec::with_capacity(ROUNDS);
        for round in 0..ROUNDS {
            // Whoever goes first leaves the caches to the other: by turns.
            let (a, b);
            if round % 2 == 0 {
                a = timed(&subject, subject_repeats).await;
                b = timed(&baseline, baseline_repeats).await;
            } else {
                b = timed(&baseline, baseline_repeats).await;
                a = timed(&subject, subject_repeats).await;
            }
            rounds.push((a, b));
        }
        rounds
    });
    summary(&rounds.await.expect("neither side panics"))
}

/// How many repetitions fill a turn.
async fn calibrated<F: Future<Output = ()>>(side: &impl Fn(usize) -> F) -> usize {
    let mut repeats = 1;
    loop {
        let begin = Instant::now();
        side(repeats).await;
        if begin.elapsed() >= TURN / 2 {
            return repeats;
        }
        repeats *= 2;
    }
}

/// Seconds to a repetition.
async fn timed<F: Future<Output = ()>>(side: &impl Fn(usize) -> F, repeats: usize) -> f64 {
    let begin = Instant::now();
    side(repeats).await;
    begin.elapsed().as_secs_f64() / repeats as f64
}

fn summary(rounds: &[(f64, f64)]) -> Ratio {
    let ratios = sorted(rounds.iter().map(|(subject, baseline)| subject / baseline));
    let middle = |sorted: &[f64]| sorted[sorted.len() / 2];
    Ratio {
        median: middle(&ratios),
        lower: ratios[ratios.len() / 4],
        upper: ratios[ratios.len() * 3 / 4],
        subject: Duration::from_secs_f64(middle(&sorted(rounds.iter().map(|round| round.0)))),
        baseline: Duration::from_secs_f64(middle(&sorted(rounds.iter().map(|round| round.1)))),
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}
