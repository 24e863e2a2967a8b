//! [`ClockHold`]: what keeps a paused clock from going on while a thread computes.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::call::blocking::Parking;

/// Keeps the paused clock of a test from going on by itself while a thread computes, and
/// not while the thread waits for the consumer of what it makes, which may be waiting for
/// time to pass.
///
/// Tokio's clock waits for its blocking tasks, and for nothing else that can be told of; so
/// this is one that does nothing, for as long as the thread computes.
pub(super) struct ClockHold {
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
    pub(super) fn new(tokio: Handle) -> Arc<Self> {
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

    /// The thread is done, and its results are where they belong.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
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

impl fmt::Debug for ClockHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockHold")
    }
}
