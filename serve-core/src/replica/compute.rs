//! [`Compute`]: a replica's own threads for `#[blocking]` methods.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::call::blocking::on_compute_thread;
use crate::call::pending::panic_message;
use crate::call::spawner::Spawner;

type Job = Box<dyn FnOnce() + Send>;

/// The compute threads of one replica. They start with the first job and end when the
/// replica is dropped; an idle replica has none.
pub(crate) struct Compute {
    replica: Arc<str>,
    threads: usize,
    /// Made for the first job: most replicas never have one.
    pool: OnceLock<Arc<Pool>>,
    spawner: Arc<Spawner>,
}

struct Pool {
    name: String,
    threads: usize,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    started: usize,
    idle: usize,
    closed: bool,
}

impl Compute {
    pub(crate) fn new(replica: &Arc<str>, threads: usize, spawner: &Arc<Spawner>) -> Self {
        let (replica, spawner) = (Arc::clone(replica), Arc::clone(spawner));
        Self { replica, threads, pool: OnceLock::new(), spawner }
    }

    fn pool(&self) -> &Arc<Pool> {
        self.pool.get_or_init(|| {
            let name = format!("serve {}", self.replica);
            let (state, work) = (Mutex::default(), Condvar::new());
            Arc::new(Pool { name, threads: self.threads, state, work })
        })
    }

    /// Runs `job` on a compute thread. If nobody waits for it when its turn comes, it
    /// does not start. An error is the message of its panic.
    pub(crate) fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> BoxFuture<'static, Result<R, String>> {
        let (done, result) = oneshot::channel();
        let unbegun = Unbegun(Arc::new(Mutex::new(Some(job))));
        let job = Arc::clone(&unbegun.0);
        self.submit(Box::new(move || {
            let Some(job) = job.lock().take() else { return };
            let outcome = catch_unwind(AssertUnwindSafe(|| on_compute_thread(job)));
            // Nobody may listen any more; the job has run all the same.
            let _ = done.send(outcome.map_err(|payload| panic_message(&*payload)));
        }));
        Box::pin(async move {
            let _unbegun = unbegun;
            result.await.unwrap_or_else(|_| Err("the replica's compute threads ended".to_owned()))
        })
    }

    pub(crate) fn spawner(&self) -> Arc<Spawner> {
        Arc::clone(&self.spawner)
    }

    fn submit(&self, job: Job) {
        if self.spawner.compute_on_tokio {
            self.spawner.tokio.spawn_blocking(job);
            return;
        }
        let pool = self.pool();
        let mut state = pool.state.lock();
        state.jobs.push_back(job);
        if state.jobs.len() > state.idle && state.started < pool.threads {
            let (pool, tokio) = (Arc::clone(pool), self.spawner.tokio.clone());
            let thread = std::thread::Builder::new().name(pool.name.clone()).spawn(move || {
                let _tokio = tokio.enter();
                pool.work();
            });
            match thread {
                Ok(_) => state.started += 1,
                Err(error) if state.started > 0 => {
                    tracing::warn!(%error, "no further compute thread could be started");
                }
                Err(error) => {
                    tracing::error!(%error, "no compute thread could be started");
                    // Dropping the jobs fails their calls.
                    state.jobs.clear();
                }
            }
        }
        drop(state);
        pool.work.notify_one();
    }
}

/// Takes a job that has not begun out, with the slot that it holds, when dropped.
struct Unbegun<J>(Arc<Mutex<Option<J>>>);

impl<J> Drop for Unbegun<J> {
    fn drop(&mut self) {
        let job = self.0.lock().take();
        // After the lock: it holds the user's values.
        drop(job);
    }
}

impl Pool {
    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // What is left of a job may panic when it is dropped.
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.state.lock();
            } else if state.closed {
                return;
            } else {
                state.idle += 1;
                self.work.wait(&mut state);
                state.idle -= 1;
            }
        }
    }
}

impl Drop for Compute {
    fn drop(&mut self) {
        let Some(pool) = self.pool.get() else { return };
        pool.state.lock().closed = true;
        pool.work.notify_all();
    }
}

impl fmt::Debug for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compute").field("threads", &self.threads).finish_non_exhaustive()
    }
}
