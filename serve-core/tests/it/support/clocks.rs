//! Durations, and waits for a condition.

use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

/// One millisecond.
pub(crate) const MS: Duration = Duration::from_millis(1);

/// One second.
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Longer than any deploy or call of a test takes, on the paused clock.
pub(crate) const A_DAY: Duration = Duration::from_secs(86_400);

/// A duration of so many milliseconds.
pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A duration of so many seconds.
pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Lets the tasks that are ready run, without letting the clock advance.
pub(crate) async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

/// Waits until a condition holds, without letting a paused clock advance. Panics with `what` if
/// the condition does not hold after 10 s of real time.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            yield_now().await;
        }
    };
    assert!(timeout(seconds(10), waiting).await.is_ok(), "{what}: not in time");
}

/// Waits on the paused clock until a condition holds, with time for sockets between two steps.
/// Returns how long it took; panics with `what` after `most`.
pub(crate) async fn advance_until(
    most: Duration,
    what: &str,
    holds: impl Fn() -> bool,
) -> Duration {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < most, "{what}: not after {:?}", began.elapsed());
        sleep(ms(10)).await;
    }
    began.elapsed()
}

/// Runs `step` each millisecond, with the number of the millisecond, until `change` is done.
pub(crate) async fn each_ms_during<T>(
    change: impl Future<Output = T>,
    mut step: impl FnMut(u64),
) -> T {
    let stepping = async {
        for number in 0.. {
            step(number);
            sleep(ms(1)).await;
        }
    };
    tokio::select! {
        changed = change => changed,
        () = stepping => unreachable!("the steps do not end"),
    }
}
