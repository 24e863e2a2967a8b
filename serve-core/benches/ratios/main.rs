//! The speed that the design promises, as ratios: what a call costs beside what anyone
//! would write by hand with tokio and axum. Each pair is measured in turns in the same
//! run, so that a busy or slow machine shifts both sides alike.
//!
//! `cargo bench -p serve-core --bench ratios`, or with a word after `--` only the rows
//! that contain it. `docs/performance.md` says what each row means.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![allow(unreachable_pub, reason = "a handle has the public methods, and a bench no public face")]

mod batches;
mod calls;
#[cfg(feature = "http")]
mod http;
mod models;
mod nested;
mod paired;
mod still;
mod table;

use paired::Threads;
use table::Table;

fn main() {
    // cargo itself passes flags, like `--bench`.
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let mut table = Table::new(only);
    for threads in [Threads::One, Threads::Two] {
        threads.run(|| calls::measure(&mut table, threads));
        threads.run(|| nested::measure(&mut table, threads));
        threads.run(|| batches::measure(&mut table, threads));
        threads.run(|| models::measure(&mut table, threads));
    }
    for threads in [Threads::One, Threads::Two] {
        threads.run(|| still::measure(&mut table, threads));
    }
    Threads::One.run(|| still::policies(&mut table));
    #[cfg(feature = "http")]
    Threads::Two.run(|| http::measure(&mut table));
    println!("\n{table}");
}
