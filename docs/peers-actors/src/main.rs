//! The same call in Serve, kameo and ractor, by turns in one run: an adder is asked for a
//! number and one, and answers at once.
//!
//! `cargo run --release`. `README.md` says what the rows mean.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

#[path = "../../../serve-core/benches/ratios/paired.rs"]
mod paired;
mod with_kameo;
mod with_ractor;
mod with_serve;

use std::fmt;
use std::pin::Pin;

use paired::{Ratio, Threads, paired};

/// Calls on each side before anything is measured. Serve polls a method in place only after
/// it has timed 64 of its calls.
const WARM_UP: usize = 5_000;

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
/// Makes as many calls as it is told, one after the other.
type Side = Box<dyn Fn(usize) -> BoxFuture + Send + Sync>;

/// The code that the calls are made from.
#[derive(Clone, Copy)]
enum From {
    /// In a method of another deployment, or in a message handler of another actor.
    Handler,
    /// In a task that was spawned with `tokio::spawn`.
    Task,
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handler => "method or handler",
            Self::Task => "spawned task",
        })
    }
}

/// Which of Serve's methods is called. Those of actors have their state to themselves.
#[derive(Clone, Copy)]
enum Method {
    /// Many calls at a time.
    Shared,
    /// One call at a time.
    Alone,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared => "`&self`",
            Self::Alone => "`&mut self`",
        })
    }
}

fn main() {
    println!("| what | from | Serve's method | on | ratio | middle half | peer | Serve |");
    println!("|---|---|---|---|---:|---:|---:|---:|");
    for from in [From::Handler, From::Task] {
        for method in [Method::Shared, Method::Alone] {
            for threads in [Threads::One, Threads::Two] {
                threads.run(|| measure(from, method, threads));
            }
        }
    }
}

async fn measure(from: From, method: Method, threads: Threads) {
    let serve = with_serve::Program::start().await;
    let kameo = with_kameo::Program::start();
    let ractor = with_ractor::Program::start().await;
    let peers =
        [("kameo `ask` / Serve", kameo.side(from)), ("ractor `call!` / Serve", ractor.side(from))];
    for (what, peer) in peers {
        let ratio = compared(peer, serve.side(from, method)).await;
        let Ratio { median, lower, upper, subject, baseline } = ratio;
        let (peer, serve) = (subject.as_nanos(), baseline.as_nanos());
        println!(
            "| {what} | {from} | {method} | {threads} | {median:.2}x | {lower:.2} to {upper:.2} | {peer} ns | {serve} ns |"
        );
    }
}

async fn compared(peer: Side, serve: Side) -> Ratio {
    for side in [&peer, &serve] {
        tokio::spawn(side(WARM_UP)).await.expect("neither side panics");
    }
    paired(peer, serve).await
}
