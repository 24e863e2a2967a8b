//! The signals to stop: Ctrl-C, and on Unix also SIGTERM, which supervisors send, SIGHUP, which
//! comes when a terminal is closed, and SIGQUIT.

use std::{io, process, thread};

use tokio::sync::watch;

use crate::{exit_code, output};

/// A listener that receives every signal to stop from its creation on.
#[derive(Debug)]
pub(crate) struct StopSignal {
    #[cfg(unix)]
    signals: Vec<tokio::signal::unix::Signal>,
    #[cfg(windows)]
    ctrl_c: tokio::signal::windows::CtrlC,
}

/// A listener for the signals to stop a program that runs user code. It listens on its own
/// thread, which no user code can block.
#[derive(Debug)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Starts to listen. The first signal completes [`Stop::requested`]; the second ends the
    /// process at once, even if the first is not handled yet.
    pub(super) fn listen() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut signal = {
            let _runtime = runtime.enter();
            StopSignal::listen()?
        };
        let (sender, requested) = watch::channel(false);
        let hear = async move {
            signal.received().await;
            sender.send_replace(true);
            signal.received().await;
            exit()
        };
        thread::Builder::new().name("serve-signals".to_owned()).spawn(move || {
            runtime.block_on(hear);
        })?;
        Ok(Self(requested))
    }

    /// Waits for the first signal.
    pub(super) async fn requested(&mut self) {
        // The thread lives as long as the process.
        let _ = self.0.wait_for(|requested| *requested).await;
    }
}

#[expect(clippy::exit, reason = "nothing else ends a process whose threads are all blocked")]
fn exit() -> ! {
    kill_if_stuck();
    output::flush();
    process::exit(exit_code::INTERRUPTED.into())
}

/// Kills the process unless it has ended soon. What a library does when a process exits may wait
/// for a thread that never ends.
fn kill_if_stuck() {
    #[cfg(unix)]
    {
        /// More than the longest time for which messages are flushed.
        const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
        // Without another thread the process still ends, if nothing is stuck.
        let _ = thread::Builder::new().name("serve-exit".to_owned()).spawn(|| {
            thread::park_timeout(PATIENCE);
            let this = rustix::process::getpid();
            let _ = rustix::process::kill_process(this, rustix::process::Signal::KILL);
        });
    }
}

impl StopSignal {
    /// Starts to listen. From then on, the signals do not end the process by themselves.
    #[cfg(unix)]
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (hangup, quit) = (SignalKind::hangup(), SignalKind::quit());
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        // Listening would undo what `nohup` does.
        kinds.extend([hangup, quit].into_iter().filter(|kind| !ignored::is_ignored(*kind)));
        let signals = kinds.into_iter().map(signal).collect::<io::Result<_>>()?;
        Ok(Self { signals })
    }

    /// Starts to listen. From then on, Ctrl-C does not end the process by itself.
    #[cfg(windows)]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { ctrl_c: tokio::signal::windows::ctrl_c()? })
    }

    /// Waits for the next signal.
    #[cfg(unix)]
    pub(crate) async fn received(&mut self) {
        use std::task::Poll;
        std::future::poll_fn(|context| {
            let mut signals = self.signals.iter_mut();
            match signals.any(|signal| signal.poll_recv(context).is_ready()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Waits for the next Ctrl-C.
    #[cfg(windows)]
    pub(crate) async fn received(&mut self) {
        let _ = self.ctrl_c.recv().await;
    }
}

#[cfg(unix)]
mod ignored {
    use std::fs;

    use tokio::signal::unix::SignalKind;

    /// Returns true if this process was started with the signal ignored, as by `nohup`. Only
    /// Linux tells.
    pub(super) fn is_ignored(kind: SignalKind) -> bool {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        mask(&status).is_some_and(|mask| contains(mask, kind))
    }

    /// Returns the mask of ignored signals in the text of `/proc/self/status`.
    fn mask(status: &str) -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(line.trim(), 16).ok()
    }

    /// Returns true if the mask has the bit of the signal. The bit of signal 1 is the lowest.
    fn contains(mask: u64, kind: SignalKind) -> bool {
        let bit = u32::try_from(kind.as_raw_value() - 1).unwrap_or(u32::MAX);
        mask.checked_shr(bit).is_some_and(|shifted| shifted & 1 == 1)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_mask_tells_which_signals_are_ignored() {
            let status = "Name:\tserver\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000004\n";
            let mask = mask(status).expect("a mask");
            assert!(contains(mask, SignalKind::hangup()));
            assert!(!contains(mask, SignalKind::quit()));
            assert!(contains(mask, SignalKind::pipe()));
        }
    }
}
