//! Operations on calls, responses and streams, and what ends a call.

use crate::support::clocks::{MS, settle};
use crate::support::events::Events;
use crate::support::gates::{Gate, gate};
use crate::support::runtimes;
use crate::support::status::load;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use serve_core::prelude::*;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

#[deployment(max_ongoing_requests = 2)]
struct Worker(Events);

#[handle]
impl Worker {
    fn new(events: Events) -> Self {
        Self(events)
    }

    pub async fn work(&self, name: String, ms: u64) -> String {
        self.0.note(format!("{name} began"));
        let _note = self.0.note_on_drop(format!("{name} dropped"));
        sleep(Duration::from_millis(ms)).await;
        name
    }

    pub async fn join(&self, one: String, two: String) -> String {
        self.0.note(format!("{one}+{two}"));
        format!("{one}+{two}")
    }

    pub async fn left(&self) -> Option<Duration> {
        context().remaining()
    }

    pub fn count(&self, to: u64) -> impl Stream<Item = u64> {
        let note = self.0.note_on_drop("count dropped");
        futures::stream::iter(0..to).then(move |number| {
            let _note = &note;
            async move {
                sleep(Duration::from_millis(1)).await;
                number
            }
        })
    }

    pub async fn panic(&self, message: String) {
        panic!("{message}");
    }
}

#[deployment]
struct Caller(WorkerHandle);

#[handle]
impl Caller {
    fn new(worker: WorkerHandle) -> Self {
        Self(worker)
    }

    /// Leaves a call behind that nobody waits for.
    pub async fn leave_behind(&self, ms: u64) -> Result<()> {
        self.0.work("detached", ms).detach();
        self.0
            .options(CallOptions::new().timeout(Duration::from_millis(30)))
            .work("own", ms)
            .detach();
        self.0.work("forgotten", ms).await?;
        Ok(())
    }

    pub async fn left(&self, own: Option<Duration>) -> Result<Option<Duration>> {
        let worker = match own {
            Some(own) => self.0.options(CallOptions::new().timeout(own)),
            None => self.0.clone(),
        };
        Ok(worker.left().await?)
    }

    pub fn relay(&self, to: u64) -> impl Stream<Item = Result<u64>> {
        self.0.count(to).map(|item| Ok(item?))
    }
}

async fn worker() -> Result<(Runtime, WorkerHandle, Events)> {
    let events = Events::default();
    let runtime = runtimes::by_environment().await?;
    let worker = runtime.run(Worker::bind(Arc::clone(&events))).await?;
    Ok((runtime, worker, events))
}

#[tokio::test(start_paused = true)]
async fn calls_start_at_once_and_responses_can_be_moved() -> Result<()> {
    fn future<T>(response: T) -> T
    where
        T: Future<Output = Result<String, CallError>> + Unpin + Send + 'static,
    {
        response
    }
    let (_runtime, worker, events) = worker().await?;
    let mut response = future(worker.work("a", 5));
    sleep(MS).await;
    assert_eq!(events.take(), ["a began"]);
    // Polled, left alone, and polled again.
    assert_eq!((&mut response).now_or_never(), None);
    assert_eq!(response.await?, "a");
    let name = String::from("by reference");
    assert_eq!(worker.work(&name, 0).await?, name);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn cancel_keeps_the_response_usable() -> Result<()> {
    let (_runtime, worker, events) = worker().await?;
    let response = worker.work("a", 5);
    sleep(MS).await;
    response.cancel();
    response.cancel();
    assert_eq!(response.await, Err(CallError::Cancelled));
    assert_eq!(events.take(), ["a began", "a dropped"]);
    let response = worker.work("b", 5);
    sleep(10 * MS).await;
    response.cancel();
    assert_eq!(response.await?, "b");
    Ok(())
}

#[deployment(max_ongoing_requests = 1, max_queued_requests = 1)]
struct Last(Arc<Notify>);

#[handle]
impl Last {
    fn new(ends: Arc<Notify>) -> Self {
        Self(ends)
    }

    /// The last thing it does wakes whoever waits for its end.
    pub async fn run(&self, number: u32) -> u32 {
        sleep(MS).await;
        self.0.notify_waiters();
        number
    }
}

#[tokio::test(start_paused = true)]
async fn drop_frees_a_granted_slot_before_it_returns() -> Result<()> {
    let ends = Arc::<Notify>::default();
    let runtime = runtimes::by_environment().await?;
    let last = runtime.run(Last::bind(Arc::clone(&ends))).await?;
    // A task, which is woken before the call that the slot passes to.
    let test = tokio::spawn(async move {
        let (running, queued) = (last.run(1), last.run(2));
        ends.notified().await;
        assert_eq!(load(&runtime, "Last"), (1, 0), "the slot has passed on");
        drop(queued);
        assert_eq!(load(&runtime, "Last"), (0, 0));
        let (now, next) = (last.run(3), last.run(4));
        let refused = last.run(5).await;
        assert!(matches!(refused, Err(CallError::Overloaded { .. })), "{refused:?}");
        Ok::<_, CallError>((running.await?, now.await?, next.await?))
    });
    assert_eq!(test.await??, (1, 3, 4));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn calls_awaiting_arguments_hold_no_place() -> Result<()> {
    let (runtime, worker, events) = worker().await?;
    let (a, b) = (worker.work("a", 5), worker.work("b", 10));
    let joined = worker.join(a, b);
    sleep(MS).await;
    assert_eq!(load(&runtime, "Worker"), (2, 0));
    assert_eq!(joined.await?, "a+b");
    assert_eq!(events.take().last().unwrap(), "a+b");
    // Dropping it drops what it waits for.
    let joined = worker.join(worker.work("c", 1000), "now");
    sleep(MS).await;
    drop(joined);
    sleep(MS).await;
    assert_eq!(events.take(), ["c began", "c dropped"]);
    assert_eq!(load(&runtime, "Worker"), (0, 0));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_first_failed_argument_ends_the_call() -> Result<()> {
    let (_runtime, worker, events) = worker().await?;
    let failed = worker.options(CallOptions::new().timeout(3 * MS)).work("late", 1000);
    let error = worker.join(worker.work("slow", 1000), failed).await.unwrap_err();
    let CallError::Upstream(upstream) = &error else { panic!("{error:?}") };
    assert_eq!((upstream.producer(), upstream.consumer()), ("Worker.work", Some("Worker.join")));
    // What went wrong in the first place is still known.
    assert_eq!((error.status(), error.is_retryable()), (408, false));
    assert_eq!(Error::from(error).status(), Some(408));
    sleep(MS).await;
    let mut events = events.take();
    events.sort();
    assert_eq!(events, ["late began", "late dropped", "slow began", "slow dropped"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deadline_covers_queueing() -> Result<()> {
    let events = Events::default();
    let runtime = runtimes::by_environment().await?;
    let bound = Worker::bind(Arc::clone(&events)).max_ongoing_requests(1).request_timeout(20 * MS);
    let worker = runtime.run(bound).await?;
    let began = Instant::now();
    // A call's own deadline stands for the deployment's.
    let held =
        worker.options(CallOptions::new().timeout(Duration::from_secs(9))).work("held", 1000);
    let queued = worker.work("queued", 1);
    assert_eq!(load(&runtime, "Worker"), (1, 1));
    assert_eq!(queued.await, Err(CallError::DeadlineExceeded));
    assert_eq!(began.elapsed(), 20 * MS);
    assert_eq!(load(&runtime, "Worker"), (1, 0));
    assert_eq!(held.await?, "held");
    assert_eq!(events.take(), ["held began", "held dropped"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_earlier_deadline_applies() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let caller = runtime.run(Caller::bind(Worker::bind(Events::default()))).await?;
    let in_ten = caller.options(CallOptions::new().timeout(10 * MS));
    assert_eq!(in_ten.left(None).await?, Some(10 * MS));
    assert_eq!(in_ten.left(Some(5 * MS)).await?, Some(5 * MS));
    assert_eq!(in_ten.left(Some(20 * MS)).await?, Some(10 * MS));
    assert_eq!(caller.left(Some(20 * MS)).await?, Some(20 * MS));
    assert_eq!(caller.left(None).await?, None);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn detached_calls_outlive_their_caller() -> Result<()> {
    let events = Events::default();
    let runtime = runtimes::by_environment().await?;
    let worker = Worker::bind(Arc::clone(&events)).max_ongoing_requests(100);
    let caller = runtime.run(Caller::bind(worker)).await?;
    let late = caller.options(CallOptions::new().timeout(10 * MS)).leave_behind(50).await;
    assert!(matches!(late, Err(CallError::DeadlineExceeded)), "{late:?}");
    sleep(MS).await;
    assert_eq!(events.take().last().unwrap(), "forgotten dropped");
    sleep(25 * MS).await;
    assert_eq!(events.take(), ["own dropped"]);
    sleep(25 * MS).await;
    assert_eq!(events.take(), ["detached dropped"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn dropping_a_stream_stops_nested_producers() -> Result<()> {
    let events = Events::default();
    let runtime = runtimes::by_environment().await?;
    let caller = runtime.run(Caller::bind(Worker::bind(Arc::clone(&events)))).await?;
    let mut items = caller.relay(1_000_000);
    assert!(matches!(items.next().await, Some(Ok(0))));
    assert_eq!((load(&runtime, "Caller"), load(&runtime, "Worker")), ((1, 0), (1, 0)));
    drop(items);
    sleep(MS).await;
    assert_eq!((load(&runtime, "Caller"), load(&runtime, "Worker")), ((0, 0), (0, 0)));
    assert_eq!(events.take(), ["count dropped"]);
    let all: Vec<u64> = caller.relay(50).map(|item| item.unwrap()).collect().await;
    assert_eq!(all, (0..50).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn blocking_waits_in_async_code_are_refused() -> Result<()> {
    let (runtime, worker, events) = worker().await?;
    assert_eq!(worker.work("a", 5).result(), Err(CallError::BlockingInAsync));
    let late = worker.work("b", 5).result_timeout(Duration::from_secs(9));
    assert_eq!(late, Err(CallError::BlockingInAsync));
    let items: Vec<_> = worker.count(5).blocking_iter().collect();
    assert_eq!(items, [Err(CallError::BlockingInAsync)]);
    sleep(MS).await;
    assert_eq!(load(&runtime, "Worker"), (0, 0));
    assert_eq!(events.take(), [""; 0]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_panic_leaves_other_calls_running() -> Result<()> {
    let (runtime, worker, _) = worker().await?;
    let beside = worker.work("beside", 5);
    assert_eq!(worker.panic("told to").await, Err(CallError::Panicked("told to".to_owned())));
    assert_eq!(beside.await?, "beside");
    assert_eq!(load(&runtime, "Worker"), (0, 0));
    Ok(())
}

/// Compute work that waits at a gate.
#[deployment(max_ongoing_requests = 1)]
struct Heavy {
    events: Events,
    gate: Gate<u32>,
    worker: WorkerHandle,
}

#[handle]
impl Heavy {
    fn new(events: Events, gate: Gate<u32>, worker: WorkerHandle) -> Self {
        Self { events, gate, worker }
    }

    #[blocking]
    pub fn compute(&self) -> u32 {
        self.events.note("began");
        self.gate.pass().unwrap_or_default()
    }

    /// Compute work may wait for calls.
    #[blocking]
    pub fn call(&self) -> Result<(String, Vec<u64>)> {
        let name = self.worker.work("from compute", 1).result()?;
        let items: Result<Vec<u64>, _> = self.worker.count(20).blocking_iter().collect();
        Ok((name, items?))
    }
}

/// The paused clock waits for a thread that computes, not for one that waits itself.
#[tokio::test(start_paused = true)]
async fn compute_work_waits_for_calls_on_a_paused_clock() -> Result<()> {
    let (gate, _go) = gate();
    let runtime = MockRuntime::builder().start();
    let bound = Heavy::bind(Events::default(), gate, Worker::bind(Events::default()));
    let heavy = runtime.run(bound).await?;
    let (began, (name, items)) = (tokio::time::Instant::now(), heavy.call().await?);
    assert_eq!((name.as_str(), items.len()), ("from compute", 20));
    assert_eq!(began.elapsed().as_millis(), 1 + 20, "so long they take");
    Ok(())
}

#[tokio::test]
async fn blocking_methods_keep_their_slot_until_they_return() -> Result<()> {
    let events = Events::default();
    let (gate, go) = gate();
    let runtime = runtimes::by_environment().await?;
    let bound = Heavy::bind(Arc::clone(&events), gate, Worker::bind(Events::default()));
    let heavy = runtime.run(bound).await?;
    let first = heavy.compute();
    events.next().await;
    drop(first);
    let second = heavy.compute();
    tokio::task::yield_now().await;
    assert_eq!(load(&runtime, "Heavy"), (1, 1), "the first still has the slot");
    go.send(1)?;
    events.next().await;
    go.send(2)?;
    assert_eq!(second.await?, 2);
    assert_eq!(heavy.call().await?, ("from compute".to_owned(), (0..20).collect()));
    Ok(())
}

#[deployment]
struct Counter(u64);

#[handle]
impl Counter {
    fn new(start: u64) -> Self {
        Self(start)
    }

    pub async fn add(&mut self, by: u64) -> u64 {
        self.0 += by;
        self.0
    }

    /// What it counts while it runs.
    pub fn up(&mut self, times: u64) -> impl Stream<Item = u64> {
        futures::stream::iter(0..times).then(move |_| {
            self.0 += 1;
            let now = self.0;
            async move {
                sleep(MS).await;
                now
            }
        })
    }

    pub async fn get(&self) -> u64 {
        self.0
    }
}

#[tokio::test(start_paused = true)]
async fn mut_self_serializes_calls_and_streams() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let counter = runtime.run(Counter::bind(0_u64).max_ongoing_requests(50)).await?;
    let (first, up, get, last) =
        (counter.add(1), counter.up(100), counter.get(), counter.add(1000));
    assert_eq!(load(&runtime, "Counter"), (1, 3));
    let counted = tokio::spawn(up.map(|item| item.unwrap()).collect::<Vec<_>>());
    assert_eq!((first.await?, get.await?, last.await?), (1, 101, 1101));
    assert_eq!(counted.await?, (2..=101).collect::<Vec<_>>());
    // A stream that is left lets the next one in.
    let mut up = counter.up(1_000_000);
    up.next().await;
    let next = counter.get();
    drop(up);
    assert!(next.await? < 1200);
    Ok(())
}

/// Notes when it is dropped, in a task that has no deployment to keep it.
static TASK: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[task]
async fn long(name: String) -> String {
    struct Dropped(String);
    impl Drop for Dropped {
        fn drop(&mut self) {
            TASK.lock().push(self.0.clone());
        }
    }
    let name = Dropped(name);
    sleep(Duration::from_secs(1)).await;
    name.0.clone()
}

#[tokio::test(start_paused = true)]
async fn a_task_is_cancelled_with_its_response() -> Result<()> {
    let (_runtime, worker, events) = worker().await?;
    let dropped = long::remote("dropped");
    let kept = long::remote("kept");
    sleep(MS).await;
    drop(dropped);
    sleep(MS).await;
    assert_eq!(*TASK.lock(), ["dropped"]);
    // Its result goes on into a call, without a wait in between.
    assert_eq!(worker.work(kept, 0).await?, "kept");
    assert_eq!(long::remote(worker.work("through", 0)).await?, "through");
    assert!(events.take().contains(&"through began".to_owned()));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_endless_timeout_is_no_timeout() -> Result<()> {
    let (_runtime, worker, _) = worker().await?;
    let patient = worker.options(CallOptions::new().timeout(Duration::MAX));
    assert_eq!(patient.work("Dora", 1).await, Ok("Dora".to_owned()));
    Ok(())
}

/// Each call makes the next one and detaches it.
#[deployment(request_timeout = "1h")]
struct Clock(Arc<Notify>);

#[handle]
impl Clock {
    fn new(done: Arc<Notify>) -> Self {
        Self(done)
    }

    pub async fn tick(&self, left: u64, me: ClockHandle) {
        match left.checked_sub(1) {
            Some(left) => me.tick(left, me.clone()).detach(),
            None => self.0.notify_one(),
        }
    }
}

/// If each call kept the deadline of the one before, dropping the last would overflow the stack.
#[tokio::test]
async fn chained_detached_calls_never_overflow() -> Result<()> {
    let done = Arc::<Notify>::default();
    let runtime = runtimes::by_environment().await?;
    let clock = runtime.run(Clock::bind(Arc::clone(&done))).await?;
    clock.tick(100_000, clock.clone()).detach();
    done.notified().await;
    runtime.shutdown().await;
    Ok(())
}

/// On the real runtime: only there two calls share a compute thread.
#[tokio::test]
async fn a_waiting_blocking_call_frees_its_slot() -> Result<()> {
    let events = Events::default();
    let (gate, go) = gate();
    let runtime = Runtime::builder().start().await?;
    let bound = Heavy::bind(Arc::clone(&events), gate, Worker::bind(Events::default()));
    let heavy = runtime.run(bound.max_ongoing_requests(2)).await?;
    let running = heavy.compute();
    events.next().await;
    // It has a slot, and waits for the thread.
    let waiting = heavy.compute();
    settle().await;
    assert_eq!(load(&runtime, "Heavy"), (2, 0));
    drop(waiting);
    settle().await;
    assert_eq!(load(&runtime, "Heavy"), (1, 0));
    go.send(7)?;
    assert_eq!(running.await?, 7);
    assert_eq!(events.take(), [""; 0], "the second has not begun");
    Ok(())
}
