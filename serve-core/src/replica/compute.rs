//! [`Compute`]: a replica's own threads for `#[blocking]` methods.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;
use std::{fmt, io};

use futures::future::BoxFuture;
use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::paused_clock;
use crate::call::blocking::{Parking, on_compute_thread, park_with, wait};
use crate::call::pending::panic_message;
use crate::call::request_ids::RequestIds;
use crate::call::runtime_context::RuntimeContext;

type Job = Box<dyn FnOnce() + Send>;

/// The error of a job that was dropped before it ran.
const ENDED: &str = "the replica's compute threads ended";

/// The time for which an idle thread beyond the limit is kept for the next job that waits.
const SPARE: Duration = Duration::from_secs(1);

/// The compute threads of one replica. They start with the first job and end when the replica is
/// dropped; an idle replica has no compute threads.
///
/// No job begins while `threads` jobs compute. A job that waits for a call does not compute, and
/// another thread takes its place: the call may need a thread of this replica itself. A job that
/// has waited goes on at once, even if more jobs compute than there should be. It may hold a lock
/// that they need, so it must not wait for them. There are never more threads than jobs, and every
/// job has a slot.
pub(crate) struct Compute {
    replica: Arc<str>,
    threads: usize,
    /// Created for the first job, because most replicas never have a job.
    pool: OnceLock<Arc<Pool>>,
    runtime: Arc<RuntimeContext>,
}

struct Pool {
    name: String,
    threads: usize,
    tokio: Handle,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// The number of threads.
    started: usize,
    /// The number of threads that wait for a job.
    idle: usize,
    /// The number of threads whose job waits for a call.
    waiting: usize,
    closed: bool,
}

impl State {
    /// The number of threads that compute, or would if there were jobs.
    fn active(&self) -> usize {
        self.started - self.waiting
    }

    /// The number of threads that compute.
    fn computing(&self) -> usize {
        self.active() - self.idle
    }
}

impl Compute {
    pub(crate) fn new(replica: &Arc<str>, threads: usize, runtime: &Arc<RuntimeContext>) -> Self {
        let (replica, runtime) = (Arc::clone(replica), Arc::clone(runtime));
        Self { replica, threads, pool: OnceLock::new(), runtime }
    }

    fn pool(&self) -> &Arc<Pool> {
        self.pool.get_or_init(|| {
            let name = self.name();
            let (threads, tokio) = (self.threads, self.runtime.tokio.clone());
            Arc::new(Pool { name, threads, tokio, state: Mutex::default(), work: Condvar::new() })
        })
    }

    /// Runs `job` on a compute thread. If the returned future is dropped before the job begins, the
    /// job is dropped too, with all that it holds. The error is the message of the job's panic, or
    /// [`ENDED`] if the job was dropped before it ran.
    pub(crate) fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> BoxFuture<'static, Result<R, String>> {
        self.run_for(|_| job())
    }

    /// Runs `job` as [`run`](Self::run) does, with its [`JobCaller`]: the job can ask if its caller
    /// still waits, and may wait for its caller itself.
    pub(crate) fn run_for<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut JobCaller<R>) -> R + Send + 'static,
    ) -> BoxFuture<'static, Result<R, String>> {
        let (done, result) = oneshot::channel();
        let (unbegun, begin) = Unbegun::of(job);
        self.submit(Box::new(move || {
            if let Some(job) = begin() {
                JobCaller { done }.run(job);
            }
        }));
        Box::pin(async move { unbegun.outcome(result).await })
    }

    fn name(&self) -> String {
        format!("serve {}", self.replica)
    }

    pub(crate) fn runtime(&self) -> Arc<RuntimeContext> {
        Arc::clone(&self.runtime)
    }

    /// The request ids of the replica's runtime.
    #[inline]
    pub(crate) fn ids(&self) -> &RequestIds {
        &self.runtime.ids
    }

    /// True if the replica's calls are spawned by `runtime`.
    #[inline]
    pub(crate) fn spawns_by(&self, runtime: &Arc<RuntimeContext>) -> bool {
        Arc::ptr_eq(&self.runtime, runtime)
    }

    fn submit(&self, job: Job) {
        if self.runtime.clock_waits {
            if let Err(error) = paused_clock::spawn(&self.runtime.tokio, self.name(), job) {
                // Dropping the job fails its call.
                tracing::error!(%error, "no compute thread could be started");
            }
            return;
        }
        let pool = self.pool();
        let mut state = pool.state.lock();
        state.jobs.push_back(job);
        pool.find_thread(&mut state);
        if state.started == 0 {
            let jobs = std::mem::take(&mut state.jobs);
            drop(state);
            // Dropping the jobs fails their calls. After the lock, because they hold user values.
            drop(jobs);
        }
    }
}

/// A job that has not begun. Dropping this value takes the job out of the line and drops it, with
/// the slot that the job holds and the user's values.
struct Unbegun<J>(Arc<Mutex<Option<J>>>);

impl<J> Unbegun<J> {
    /// Returns the job, and a function that hands the job to its thread. The function returns
    /// `None` if the job is out of the line.
    fn of(job: J) -> (Self, impl FnOnce() -> Option<J>) {
        let job = Arc::new(Mutex::new(Some(job)));
        let its = Arc::clone(&job);
        (Self(job), move || its.lock().take())
    }

    /// Returns the job's result.
    async fn outcome<R>(self, result: oneshot::Receiver<Result<R, String>>) -> Result<R, String> {
        result.await.unwrap_or_else(|_| Err(ENDED.to_owned()))
    }
}

impl<J> Drop for Unbegun<J> {
    fn drop(&mut self) {
        let job = self.0.lock().take();
        // After the lock, because the job holds the user's values.
        drop(job);
    }
}

/// Runs `job` on a thread that belongs to no replica. Returns the job's result, or its panic. If
/// the future is dropped, the job goes on, and its result is dropped on its thread.
///
/// # Errors
/// If no thread could be started.
pub(super) async fn on_own_thread<R: Send + 'static>(
    runtime: &RuntimeContext,
    replica: &str,
    job: impl FnOnce() -> R + Send + 'static,
) -> io::Result<std::thread::Result<R>> {
    let (done, result) = oneshot::channel();
    let run = move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| on_compute_thread(job)));
        // The caller may be gone.
        let _ = done.send(outcome);
    };
    let name = format!("serve {replica}");
    if runtime.clock_waits {
        paused_clock::spawn(&runtime.tokio, name, run)?;
    } else {
        // Not a blocking thread of tokio: a program that ends would wait for such a thread.
        let tokio = runtime.tokio.clone();
        std::thread::Builder::new().name(name).spawn(move || {
            let _tokio = tokio.enter();
            run();
        })?;
    }
    result.await.map_err(io::Error::other)
}

/// The caller that waits for a job.
pub(crate) struct JobCaller<R> {
    done: oneshot::Sender<Result<R, String>>,
}

impl<R> JobCaller<R> {
    /// True if the caller does not wait for the job any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.done.is_closed()
    }

    /// Parks the thread until `future` is done. Returns `None` if the caller is gone before that.
    pub(crate) fn wait_for<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let done = &mut self.done;
        wait(poll_fn(|cx| {
            if done.poll_closed(cx).is_ready() {
                return Poll::Ready(None);
            }
            future.as_mut().poll(cx).map(Some)
        }))
    }

    /// Runs `job`, unless the caller is gone.
    fn run(mut self, job: impl FnOnce(&mut Self) -> R) {
        if self.is_gone() {
            return;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| on_compute_thread(|| job(&mut self))));
        // The caller may be gone; the job has run all the same.
        let _ = self.done.send(outcome.map_err(|payload| panic_message(&*payload)));
    }
}

impl Pool {
    /// Wakes or starts a thread for the next job, if there is a job and it may begin.
    fn find_thread(self: &Arc<Self>, state: &mut State) {
        if state.jobs.is_empty() || state.computing() >= self.threads {
            return;
        }
        if state.jobs.len() > state.idle && state.active() < self.threads {
            let pool = Arc::clone(self);
            let thread = std::thread::Builder::new().name(self.name.clone()).spawn(move || {
                let _tokio = pool.tokio.enter();
                let worker =
                    Arc::new(Worker { pool: Arc::clone(&pool), waits: AtomicBool::new(false) });
                park_with(Arc::clone(&worker) as Arc<dyn Parking>);
                worker.work();
            });
            match thread {
                Ok(_) => state.started += 1,
                Err(error) if state.started > 0 => {
                    tracing::warn!(%error, "no further compute thread could be started");
                }
                // The caller drops the jobs.
                Err(error) => {
                    tracing::error!(%error, "no compute thread could be started");
                    return;
                }
            }
        }
        self.work.notify_one();
    }
}

/// A thread of a [`Pool`].
struct Worker {
    pool: Arc<Pool>,
    /// True while the thread's job waits for a call. Written only by the thread itself.
    waits: AtomicBool,
}

impl Worker {
    fn work(&self) {
        let pool = &self.pool;
        let mut state = pool.state.lock();
        loop {
            // This thread counts as one that computes.
            if state.computing() <= pool.threads
                && let Some(job) = state.jobs.pop_front()
            {
                drop(state);
                // The arguments or the result of a job whose caller is gone are dropped here. A
                // panic in that drop must not end the thread.
                let _ = catch_unwind(AssertUnwindSafe(job));
                self.asking();
                state = pool.state.lock();
                continue;
            }
            if state.closed {
                state.started -= 1;
                return;
            }
            let is_spare = state.active() > pool.threads;
            state.idle += 1;
            let timed_out = if is_spare {
                pool.work.wait_for(&mut state, SPARE).timed_out()
            } else {
                pool.work.wait(&mut state);
                false
            };
            state.idle -= 1;
            // A thread that was woken in the last moment takes its job.
            if timed_out && state.active() > pool.threads && state.jobs.is_empty() {
                state.started -= 1;
                return;
            }
        }
    }
}

impl Parking for Worker {
    fn asking(&self) {
        if self.waits.swap(false, Ordering::Relaxed) {
            self.pool.state.lock().waiting -= 1;
        }
    }

    fn parking(&self) {
        if !self.waits.swap(true, Ordering::Relaxed) {
            let mut state = self.pool.state.lock();
            state.waiting += 1;
            self.pool.find_thread(&mut state);
        }
    }

    fn woken(&self) {}

    fn polled(&self, is_pending: bool) {
        if is_pending { self.parking() } else { self.asking() }
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
