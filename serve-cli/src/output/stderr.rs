//! The queue in front of stderr.
//!
//! A program whose stderr is a pipe stops when nobody reads the pipe: each thread that writes a
//! log line waits, and so does the thread that handles signals. Lines are therefore put into a
//! queue of limited size, and one thread writes them. Lines that do not fit are dropped and
//! counted, and the count is written once there is space again.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::panic;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use anstyle::AnsiColor;
use parking_lot::{Condvar, Mutex};

/// The number of bytes that may wait. At some 200 bytes a line, these are 20,000 lines.
const CAPACITY: usize = 4 << 20;

/// The number of bytes that are written at once.
const BATCH: usize = 64 << 10;

/// The time without progress after which [`Queue::flush`] gives up. A reader that is not stuck
/// empties a pipe much faster.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most such times that [`Queue::flush`] waits for a reader that is only slow.
const SLOW: usize = 5;

/// The queue of this process, if it was started.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Starts the queue of this process. From then on, nothing that is written to stderr through
/// this module waits for a reader.
pub(crate) fn write_in_background() -> io::Result<()> {
    if QUEUE.get().is_none() {
        let queue = Queue::start(anstream::stderr(), CAPACITY, PATIENCE)?;
        // Another thread may have started one; ours then waits for nothing, forever.
        let _ = QUEUE.set(queue);
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            // The usual hook writes to stderr itself, on the thread that panics.
            if is_writable() {
                previous(panic);
            } else {
                write(format!("a thread {panic}\n"));
            }
        }));
    }
    Ok(())
}

/// Returns true if a short write to stderr would not wait.
#[cfg(unix)]
fn is_writable() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let stderr = io::stderr();
    let mut files = [PollFd::new(&stderr, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    !matches!(poll(&mut files, Some(&now)), Ok(0))
}

/// Returns true: this platform does not tell.
#[cfg(not(unix))]
fn is_writable() -> bool {
    true
}

/// Writes a text to stderr, or puts it into the queue.
pub(crate) fn write(text: String) {
    match QUEUE.get() {
        Some(queue) => queue.push(text.into_bytes()),
        // A failure could be reported nowhere.
        None => drop(anstream::stderr().write_all(text.as_bytes())),
    }
}

/// Waits until the queue is empty, or its reader is stuck.
pub(crate) fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush();
    }
}

/// A writer of log lines. Each `write` is one line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogLines;

impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match QUEUE.get() {
            Some(queue) => queue.push(line.to_vec()),
            None => anstream::stderr().write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A bounded queue of texts, and the thread that writes them.
#[derive(Clone)]
struct Queue(Arc<Shared>);

struct Shared {
    capacity: usize,
    patience: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    texts: VecDeque<Vec<u8>>,
    /// The bytes in `texts`.
    bytes: usize,
    /// The texts that were dropped since the last time that their number was written.
    dropped: usize,
    /// True while the thread writes.
    writing: bool,
    /// The number of writes so far.
    writes: usize,
}

impl Queue {
    /// Starts the thread that writes to `to`. The thread runs until the process ends.
    fn start(
        mut to: impl Write + Send + 'static,
        capacity: usize,
        patience: Duration,
    ) -> io::Result<Self> {
        let (state, changed) = (Mutex::new(State::default()), Condvar::new());
        let queue = Self(Arc::new(Shared { capacity, patience, state, changed }));
        let shared = queue.clone();
        thread::Builder::new().name("serve-stderr".to_owned()).spawn(move || {
            loop {
                let batch = shared.next();
                // A failure could be reported nowhere.
                let _ = to.write_all(&batch).and_then(|()| to.flush());
                shared.written();
            }
        })?;
        Ok(queue)
    }

    /// Adds a text, unless there is no space for it. Never waits for the reader.
    fn push(&self, text: Vec<u8>) {
        let mut state = self.0.state.lock();
        // Once texts are dropped, the queue is half emptied first: else each line that just
        // fits would be followed by another count.
        let limit = if state.dropped > 0 { self.0.capacity / 2 } else { self.0.capacity };
        if state.bytes > 0 && state.bytes + text.len() > limit {
            state.dropped += 1;
            return;
        }
        state.add_count();
        state.add(text);
        self.0.changed.notify_all();
    }

    /// Waits for the next texts, and returns them as one.
    fn next(&self) -> Vec<u8> {
        let mut state = self.0.state.lock();
        loop {
            if state.texts.is_empty() {
                state.add_count();
            }
            if let Some(mut batch) = state.texts.pop_front() {
                while let Some(text) = state.texts.front()
                    && batch.len() + text.len() <= BATCH
                {
                    batch.extend(state.texts.pop_front().unwrap_or_default());
                }
                state.bytes -= batch.len();
                state.writing = true;
                return batch;
            }
            self.0.changed.wait(&mut state);
        }
    }

    fn written(&self) {
        let mut state = self.0.state.lock();
        state.writing = false;
        state.writes += 1;
        self.0.changed.notify_all();
    }

    /// Waits until everything is written. Gives up if the reader is stuck.
    fn flush(&self) {
        let mut state = self.0.state.lock();
        for _ in 0..SLOW {
            let writes = state.writes;
            let unfinished = |state: &mut State| !state.is_empty();
            let waited = self.0.changed.wait_while_for(&mut state, unfinished, self.0.patience);
            if !waited.timed_out() || state.writes == writes {
                return;
            }
        }
    }
}

impl State {
    fn add(&mut self, text: Vec<u8>) {
        self.bytes += text.len();
        self.texts.push_back(text);
    }

    /// Adds a line with the number of the dropped texts, if there are any.
    fn add_count(&mut self) {
        let lines = match std::mem::take(&mut self.dropped) {
            0 => return,
            1 => "1 line was".to_owned(),
            several => format!("{several} lines were"),
        };
        let style = AnsiColor::Yellow.on_default().bold();
        let count = format!(
            "{style}warning{style:#}: {lines} dropped here, because stderr was not read fast enough\n"
        );
        self.add(count.into_bytes());
    }

    fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.dropped == 0 && !self.writing
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    const STUCK: Duration = Duration::from_millis(1);

    /// A stderr whose reader reads only when it is told to.
    struct Stuck {
        reader: Receiver<()>,
        read: Sender<Vec<u8>>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.reader.recv();
            self.read.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn text(bytes: &[u8]) -> String {
        anstream::adapter::strip_str(str::from_utf8(bytes).expect("text")).to_string()
    }

    #[test]
    fn lines_that_nobody_reads_are_dropped_and_counted_once_there_is_space() {
        let (go_on, reader) = mpsc::channel();
        let (read, received) = mpsc::channel();
        let queue = Queue::start(Stuck { reader, read }, 100, STUCK).expect("a thread");
        queue.push(b"first\n".to_vec());
        // The thread has taken the first line, and is stuck with it.
        while !queue.0.state.lock().writing {
            thread::yield_now();
        }
        // Ten bytes each: ten of them fit.
        for number in 0..40 {
            queue.push(format!("line  {number:>3}\n").into_bytes());
        }
        queue.flush();
        assert_eq!(queue.0.state.lock().dropped, 30);

        for _ in 0..3 {
            go_on.send(()).expect("the thread writes");
        }
        assert_eq!(text(&received.recv().expect("read")), "first\n");
        let rest = text(&received.recv().expect("read"));
        let count = text(&received.recv().expect("read"));
        assert!(rest.starts_with("line    0\n") && rest.ends_with("line    9\n"), "{rest}");
        assert_eq!(
            count,
            "warning: 30 lines were dropped here, because stderr was not read fast enough\n"
        );
        drop(go_on);
        queue.flush();
        queue.push(b"last\n".to_vec());
        queue.flush();
        assert_eq!(text(&received.recv().expect("read")), "last\n");
    }

    #[test]
    fn a_text_that_is_larger_than_the_queue_is_written_when_nothing_waits() {
        let (read, received) = mpsc::channel();
        let queue = {
            let reader = mpsc::channel().1;
            Queue::start(Stuck { reader, read }, 10, PATIENCE).expect("a thread")
        };
        queue.push(vec![b'x'; 1_000]);
        queue.flush();
        assert_eq!(received.recv().expect("read").len(), 1_000);
    }
}
