//! The signals to stop: Ctrl-C, and on Unix also SIGTERM, which supervisors send.

use std::{io, process, thread};

use tokio::sync::watch;

use crate::exit_code;

/// A listener that receives every signal to stop from its creation on.
#[derive(Debug)]
pub(crate) struct StopSignal {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
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
    process::exit(exit_code::INTERRUPTED.into())
}

impl StopSignal {
    /// Starts to listen. From then on, signals do not end the process by themselves.
    #[cfg(unix)]
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Starts to listen. From then on, Ctrl-C does not end the process by itself.
    #[cfg(windows)]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { ctrl_c: tokio::signal::windows::ctrl_c()? })
    }

    /// Waits for the next signal.
    #[cfg(unix)]
    pub(crate) async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Waits for the next Ctrl-C.
    #[cfg(windows)]
    pub(crate) async fn received(&mut self) {
        let _ = self.ctrl_c.recv().await;
    }
}
