//! Threads for which the paused clock of a test waits.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::{io, thread};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::call::blocking::{Parking, park_with};

/// Runs `job` on a thread of its own. The clock does not go on by itself while that
/// computes, but it does while it waits for a call, or for the consumer of what it makes:
/// they may be waiting for time to pass.
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

/// What keeps the clock from going on.
///
/// Tokio's clock waits for its blocking tasks, and for nothing else that can be told of; so
/// this is one that does nothing, for as long as the thread computes.
struct ClockHold {
    tokio: Handle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Ends the blocking task when it is dropped.
    task: Option<Sender<()>>,
    /// Whether there is something to compute since the thread last asked.
    woken: bool,
    /// Whether the thread is done.
    over: bool,
}

impl ClockHold {
    /// It holds the clock from now on.
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
            // Nothing is ever sent: it ends with the sender.
            let _ = ended.recv();
        });
    }
}

/// Ends the hold when the thread is done, and its results are where they belong: wakers may
/// keep it for longer.
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

    /// Before the code that woke it goes on, so that the clock does not go on between.
    fn woken(&self) {
        let mut state = self.state.lock();
        state.woken = true;
        self.hold(&mut state);
    }
}
