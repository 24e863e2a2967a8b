//! Threads for which the paused clock of a test waits.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::{io, thread};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::call::blocking::{Parking, park_with};

/// Runs `job` on a thread of its own. The clock does not advance by itself while the thread
/// computes. It does advance while the thread waits for a call, or for the consumer of its items,
/// because these may be waiting for time to pass.
///
/// # Errors
/// If no thread could be started.
pub(super) fn spawn(
    tokio: &Handle,
    name: String,
    job: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let (tokio, clock) = (tokio.clone(), Ends(ClockHold::new(tokio.clone())));
    let run = move || {
        let _tokio = tokio.enter();
        park_with(Arc::clone(&clock.0) as Arc<dyn Parking>);
        job();
    };
    thread::Builder::new().name(name).spawn(run).map(drop)
}

/// A hold that keeps the clock from advancing.
///
/// Tokio's clock waits for its blocking tasks, and can be made to wait for nothing else. So the
/// hold is a blocking task that does nothing, for as long as the thread computes.
struct ClockHold {
    tokio: Handle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Ends the blocking task when it is dropped.
    task: Option<Sender<()>>,
    /// True if the thread was woken since it last polled its future.
    woken: bool,
    /// True once the thread is done.
    over: bool,
}

impl ClockHold {
    /// Creates a hold, which takes effect at once.
    fn new(tokio: Handle) -> Arc<Self> {
        let hold = Self { tokio, state: Mutex::default() };
        hold.hold(&mut hold.state.lock());
        Arc::new(hold)
    }

    fn hold(&self, state: &mut State) {
        if state.task.is_some() || state.over {
            return;
        }
        let (task, ended) = channel::<()>();
        state.task = Some(task);
        self.tokio.spawn_blocking(move || {
            // Nothing is ever sent: the task ends when the sender is dropped.
            let _ = ended.recv();
        });
    }
}

/// A guard that ends the hold when the thread is done and its results are delivered, because wakers
/// may keep the hold for longer.
struct Ends(Arc<ClockHold>);

impl Drop for Ends {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.over = true;
        state.task = None;
    }
}

impl Parking for ClockHold {
    fn asking(&self) {
        let mut state = self.state.lock();
        state.woken = false;
        self.hold(&mut state);
    }

    fn parking(&self) {
        let mut state = self.state.lock();
        if !state.woken {
            state.task = None;
        }
    }

    /// Takes the hold before the code that woke the thread continues, so that the clock does not
    /// advance in between.
    fn woken(&self) {
        let mut state = self.state.lock();
        state.woken = true;
        self.hold(&mut state);
    }

    /// Does nothing: only a wait of Serve's own says when the thread goes on, so that the clock
    /// stands still until then.
    fn polled(&self, _: bool) {}
}
