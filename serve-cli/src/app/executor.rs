//! The threads that run a command.
//!
//! The command itself runs on the calling thread: it receives signals, reports what it
//! waits for and has its own timer. Replicas run on [`Workers`], so that the command
//! continues even if user code blocks every worker.

use std::future::Future;
use std::io;
use std::panic::resume_unwind;

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;

use super::error::Error;
use crate::arguments::{BadVariable, Variables, first_set, process_variables};

/// The most worker threads. More than the largest machines have CPUs, and few enough to start.
const MOST_WORKERS: usize = 4096;

/// The threads that replicas run on.
#[derive(Clone, Debug)]
pub(super) struct Workers(Handle);

/// Runs a command to completion. Work that is still running then, such as a blocking method
/// whose result is no longer needed, is not awaited.
pub(super) fn block_on(
    command: impl AsyncFnOnce(Workers) -> Result<u8, Error>,
) -> Result<u8, Error> {
    if Handle::try_current().is_ok() {
        return Err(Error::CalledFromAsync);
    }
    let mut workers = Builder::new_multi_thread();
    if let Some(count) = worker_threads(&process_variables)? {
        workers.worker_threads(count);
    }
    let workers = workers.enable_all().thread_name("serve").build().map_err(Error::Runtime)?;
    let outcome =
        on_this_thread(command(Workers(workers.handle().clone()))).map_err(Error::Runtime);
    workers.shutdown_background();
    outcome?
}

/// Returns the number of worker threads that the environment asks for. Tokio reads the same
/// variable, and panics if it is not valid.
fn worker_threads(variables: Variables<'_>) -> Result<Option<usize>, BadVariable> {
    first_set(variables, &["TOKIO_WORKER_THREADS"], |text| {
        let count = text.parse().ok().filter(|count| (1..=MOST_WORKERS).contains(count));
        count.ok_or_else(|| format!("expected a number from 1 to {MOST_WORKERS}"))
    })
}

/// Runs a future on the current thread only.
fn on_this_thread<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(future))
}

impl Workers {
    /// Runs `work` on the workers. Dropping the returned future cancels `work`.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let mut tasks = JoinSet::new();
        tasks.spawn_on(work, &self.0);
        match tasks.join_next().await.expect("one task was just started") {
            Ok(outcome) => outcome,
            Err(error) => resume_unwind(error.into_panic()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use parking_lot::Mutex;

    use super::*;

    #[test]
    fn async_code_is_told_why_it_cannot_call_main() {
        let outcome = block_on(async |_| block_on(async |_| Ok(0)));
        assert!(matches!(outcome, Err(Error::CalledFromAsync)), "{outcome:?}");
    }

    #[test]
    fn a_bad_number_of_threads_is_an_error() {
        let count = |value: &str| {
            let value = OsString::from(value);
            worker_threads(&|_| Some(value.clone())).map_err(|error| error.to_string())
        };
        assert_eq!(count("3"), Ok(Some(3)));
        assert_eq!(count(""), Ok(None));
        for bad in ["0", "-1", "many", "1000000", "1.5", "99999999999999999999"] {
            let error = count(bad).expect_err("not a number of threads");
            assert!(error.contains("TOKIO_WORKER_THREADS has the invalid value"), "{error}");
            assert!(error.contains("expected a number from 1 to 4096"), "{error}");
        }
    }

    #[test]
    fn a_command_goes_on_though_every_worker_is_blocked() {
        let (blocking, blocked) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(Mutex::new(released));
        let outcome = block_on(async |workers| {
            let count = workers.0.metrics().num_workers();
            for _ in 0..count {
                let (blocking, released) = (blocking.clone(), Arc::clone(&released));
                workers.0.spawn(async move {
                    blocking.send(()).expect("the command waits for it");
                    let _ = released.lock().recv();
                });
            }
            assert_eq!(blocked.iter().take(count).count(), count);
            // The timer is the command's own.
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(7)
        });
        assert!(matches!(outcome, Ok(7)), "{outcome:?}");
        drop(release);
    }
}
