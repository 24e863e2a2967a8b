//! The wish to stop: Ctrl-C, and on Unix also SIGTERM, which supervisors send.

use std::{io, process, thread};

use tokio::sync::watch;

use crate::exit_code;

/// Hears every wish to stop from when it was made.
#[derive(Debug)]
pub(crate) struct StopSignal {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(windows)]
    ctrl_c: tokio::signal::windows::CtrlC,
}

/// The wish to stop a program that runs user code. It is heard on a thread of its own,
/// which no user code can block.
#[derive(Debug)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens from now on. The first signal fulfils [`Stop::wished`]; the second ends the
    /// process at once, whatever became of the first.
    pub(super) fn listen() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut signal = {
            let _runtime = runtime.enter();
            StopSignal::listen()?
        };
        let (wished, wish) = watch::channel(false);
        let hear = async move {
            signal.received().await;
            wished.send_replace(true);
            signal.received().await;
            exit()
        };
        thread::Builder::new().name("serve-signals".to_owned()).spawn(move || {
            runtime.block_on(hear);
        })?;
        Ok(Self(wish))
    }

    /// Waits for the first signal.
    pub(super) async fn wished(&mut self) {
        // The thread lives as long as the process.
        let _ = self.0.wait_for(|wished| *wished).await;
    }
}

#[expect(clippy::exit, reason = "nothing else ends a process whose threads are all blocked")]
fn exit() -> ! {
    process::exit(exit_code::INTERRUPTED.into())
}

impl StopSignal {
    /// Listens from now on. Signals no longer end the process by themselves.
    #[cfg(unix)]
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Listens from now on. Ctrl-C no longer ends the process by itself.
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
