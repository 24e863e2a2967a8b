//! Calls that are polled in place, on the task of their caller, before they get their own task. Each
//! test runs with and without, on one thread and on two workers: a program cannot tell them apart.

use crate::support::events::Events;
use crate::support::runtimes::threads;
use crate::support::status::deployment;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use serve_core::prelude::*;
use serve_core::replica_context;
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::task::yield_now;

tokio::task_local! {
    static MARK: u32;
}

/// What the methods share with their test.
#[derive(Default)]
struct Seen {
    events: Events,
    /// Lets waiting methods go on.
    go: Notify,
    count: AtomicUsize,
    lock: Mutex<()>,
}

type See = Arc<Seen>;

/// A value whose drop panics.
#[derive(Clone)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "cannot be dropped");
    }
}

#[deployment(max_ongoing_requests = 1)]
struct One {
    see: See,
}

#[handle]
impl One {
    pub fn new(see: See) -> Self {
        Self { see }
    }

    pub async fn note(&self, what: String) {
        self.see.events.note(what);
    }
}

#[deployment]
struct Mutable {
    see: See,
}

#[handle]
impl Mutable {
    pub fn new(see: See) -> Self {
        Self { see }
    }

    pub async fn note(&mut self, what: String) {
        self.see.events.note(what);
    }
}

#[deployment(local)]
struct Leaf {
    see: See,
}

#[handle]
impl Leaf {
    pub fn new(see: See) -> Self {
        Self { see }
    }

    pub async fn note(&self, what: String) {
        self.see.events.note(what);
    }

    pub async fn count(&self) -> usize {
        self.see.count.fetch_add(1, Ordering::SeqCst)
    }

    pub async fn counted(&self) -> usize {
        self.see.count.load(Ordering::SeqCst)
    }

    pub async fn runtime(&self) -> tokio::runtime::Id {
        tokio::time::sleep(Duration::from_millis(1)).await;
        tokio::runtime::Handle::current().id()
    }

    pub async fn send_once(&self, sender: Arc<Mutex<Option<tokio::sync::oneshot::Sender<()>>>>) {
        let sender = sender.lock().take();
        let _ = sender.expect("it is sent once").send(());
    }

    /// Ends on notice.
    pub async fn wait(&self) {
        let _dropped = self.see.events.note_on_drop("dropped");
        self.see.events.note("began");
        self.see.go.notified().await;
        self.see.events.note("went on");
    }

    pub async fn fail(&self) {
        panic!("as it is made to");
    }

    /// Ends when as many as the barrier is for have begun.
    pub async fn meet(&self, barrier: Arc<Barrier>) {
        barrier.wait();
    }

    pub async fn lock(&self) -> u64 {
        let _held = self.see.lock.lock();
        7
    }

    /// The caller's mark and task, as they are before the first suspension and after it.
    pub async fn surroundings(&self) -> [(Option<u32>, Option<tokio::task::Id>); 2] {
        let look = || (MARK.try_with(|mark| *mark).ok(), tokio::task::try_id());
        let before = look();
        yield_now().await;
        [before, look()]
    }

    pub async fn task(&self) -> Option<tokio::task::Id> {
        tokio::task::try_id()
    }

    pub async fn identity(&self) -> (String, String) {
        let deployment = replica_context().expect("a method runs on a replica").deployment().into();
        (context().request_id().to_owned(), deployment)
    }

    pub async fn deeper(&self, leaf: LeafHandle, depth: usize) -> Result<usize> {
        if depth == 0 {
            return Ok(0);
        }
        Ok(1 + leaf.deeper(leaf.clone(), depth - 1).await?)
    }

    pub async fn hold(&self, bomb: Bomb) {
        std::mem::forget(bomb);
    }

    /// A value of its own panics when the method ends.
    pub async fn explode(&self) {
        let _bomb = Bomb;
    }

    pub async fn send(&self, sender: mpsc::Sender<u32>) {
        sender.send(7).expect("somebody waits for it");
    }

    pub async fn remaining(&self) -> bool {
        context().remaining().is_some()
    }

    pub async fn add(&self, a: usize, b: usize) -> usize {
        a + b
    }

    pub async fn call_on_drop(&self, _caller: CallsOnDrop) {}
}

/// Makes a call when it is dropped.
struct CallsOnDrop(LeafHandle);

impl Drop for CallsOnDrop {
    fn drop(&mut self) {
        self.0.count().detach();
    }
}

#[deployment(local)]
struct Middle {
    leaf: LeafHandle,
}

#[handle]
impl Middle {
    pub fn new(leaf: LeafHandle) -> Self {
        Self { leaf }
    }

    pub async fn wait(&self) -> Result<()> {
        Ok(self.leaf.wait().await?)
    }

    pub async fn until_counted(&self) -> Result<()> {
        while self.leaf.counted().await? == 0 {}
        Ok(())
    }
}

/// The handles that a test calls from inside a method.
#[derive(Clone)]
struct Handles {
    see: See,
    leaf: LeafHandle,
    middle: MiddleHandle,
    one: OneHandle,
    mutable: MutableHandle,
}

type Inner = Arc<dyn Fn(Handles) -> futures::future::BoxFuture<'static, ()> + Send + Sync>;

/// Runs a test's code inside a method.
#[deployment(local)]
struct Top {
    handles: Handles,
}

#[handle]
impl Top {
    pub fn new(
        see: See,
        leaf: LeafHandle,
        middle: MiddleHandle,
        one: OneHandle,
        mutable: MutableHandle,
    ) -> Self {
        Self { handles: Handles { see, leaf, middle, one, mutable } }
    }

    pub async fn run(&self, inner: Inner) {
        inner(self.handles.clone()).await;
    }
}

/// A way to run a test.
#[derive(Clone, Copy, Debug)]
struct Way {
    workers: usize,
    in_place: bool,
}

fn ways() -> impl Iterator<Item = Way> {
    [1, 2].into_iter().flat_map(|workers| [true, false].map(|in_place| Way { workers, in_place }))
}

impl Way {
    async fn graph(self) -> (Runtime, TopHandle, See) {
        let see = See::default();
        let runtime = Runtime::builder().in_place(self.in_place).start().await.unwrap();
        let leaf = Leaf::bind(Arc::clone(&see)).max_ongoing_requests(10_000);
        let top = Top::bind(
            Arc::clone(&see),
            leaf.clone(),
            Middle::bind(leaf),
            One::bind(Arc::clone(&see)),
            Mutable::bind(Arc::clone(&see)),
        );
        let top = runtime.run(top).await.unwrap();
        (runtime, top, see)
    }
}

/// Runs `inner` inside a method, each way.
fn everywhere<F>(inner: impl Fn(Handles) -> F + Clone + Send + Sync + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    run(ways(), inner);
}

/// Runs `inner` inside a method on two workers, for code that blocks one of them.
fn on_two_workers<F>(inner: impl Fn(Handles) -> F + Clone + Send + Sync + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    run(ways().filter(|way| way.workers > 1), inner);
}

fn run<F>(
    ways: impl Iterator<Item = Way>,
    inner: impl Fn(Handles) -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    for way in ways {
        threads(way.workers).block_on(async {
            let (runtime, top, _) = way.graph().await;
            let inner = inner.clone();
            let inner: Inner = Arc::new(move |handles| Box::pin(inner(handles)));
            if let Err(error) = top.run(inner).await {
                panic!("{way:?}: {error}");
            }
            runtime.shutdown().await;
        });
    }
}

#[test]
fn a_response_dropped_unpolled_never_runs() {
    everywhere(|Handles { see, leaf, one, .. }| async move {
        drop(leaf.note("never".to_owned()));
        drop(one.note("never".to_owned()));
        let cancelled = leaf.note("never".to_owned());
        cancelled.cancel();
        assert!(matches!(cancelled.await, Err(CallError::Cancelled)));
        one.note("the slot is free".to_owned()).await.unwrap();
        // Two calls at once have tasks, which tokio may have begun before they are dropped on
        // another worker; not so a call that alone was made.
        assert_eq!(see.events.take(), ["the slot is free"]);
    });
}

#[test]
fn dropping_a_polled_response_stops_the_call_tree() {
    everywhere(|Handles { see, middle, .. }| async move {
        let mut response = middle.wait();
        assert!(futures::poll!(&mut response).is_pending());
        assert_eq!(see.events.take_when(1).await, ["began"]);
        drop(response);
        assert_eq!(see.events.take_when(1).await, ["dropped"]);
    });
}

#[test]
fn unawaited_calls_begin_when_the_caller_suspends() {
    everywhere(|Handles { see, leaf, .. }| async move {
        let response = leaf.note("callee".to_owned());
        assert_eq!(see.events.take_when(1).await, ["callee"]);
        response.await.unwrap();
        let mut response = leaf.wait();
        assert_eq!(see.events.take_when(1).await, ["began"]);
        assert!(futures::poll!(&mut response).is_pending());
        see.go.notify_one();
        response.await.unwrap();
        assert_eq!(see.events.take(), ["went on", "dropped"]);
    });
}

#[test]
fn detached_shared_and_forgotten_calls_run() {
    everywhere(|Handles { see, leaf, .. }| async move {
        leaf.note("detached".to_owned()).detach();
        assert_eq!(see.events.take_when(1).await, ["detached"]);
        let reference = leaf.count().object_ref();
        let shared = reference.clone();
        drop(reference);
        assert_eq!(*shared.get().await.unwrap(), 0);
        std::mem::forget(leaf.note("forgotten".to_owned()));
        assert_eq!(see.events.take_when(1).await, ["forgotten"]);
        assert_eq!(leaf.add(leaf.count(), leaf.add(1, 2)).await.unwrap(), 4);
    });
}

#[test]
fn a_panic_fails_only_the_call() {
    everywhere(|Handles { see, leaf, .. }| async move {
        let request = context().request_id().to_owned();
        for _ in 0..2 {
            let failed = leaf.fail().await;
            assert!(matches!(&failed, Err(CallError::Panicked(why)) if why == "as it is made to"));
            assert_eq!(replica_context().unwrap().deployment(), "Top");
            assert_eq!(context().request_id(), request);
        }
        leaf.note("served".to_owned()).await.unwrap();
        assert_eq!(see.events.take(), ["served"]);
    });
}

#[test]
fn three_panics_in_a_row_replace_the_replica() {
    for way in ways() {
        threads(way.workers).block_on(async {
            let (runtime, top, _) = way.graph().await;
            let inner: Inner = Arc::new(|Handles { leaf, .. }| {
                Box::pin(async move {
                    for _ in 0..3 {
                        leaf.fail().await.unwrap_err();
                    }
                })
            });
            top.run(inner).await.unwrap();
            let died = || {
                let status = runtime.status();
                let leaf = &status.applications["default"].deployments["Leaf"];
                leaf.recent_dead_replicas.len()
            };
            while died() == 0 {
                yield_now().await;
            }
        });
    }
}

#[test]
fn a_panicking_drop_fails_only_its_call() {
    everywhere(|Handles { leaf, .. }| async move {
        let exploded = leaf.explode().await;
        assert!(matches!(exploded, Err(CallError::Panicked(_))), "{exploded:?}");
        drop(leaf.hold(Bomb));
        assert_eq!(leaf.lock().await.unwrap(), 7);
    });
}

#[test]
fn a_held_lock_does_not_deadlock() {
    everywhere(|Handles { see, leaf, .. }| async move {
        let response = {
            let _held = see.lock.lock();
            leaf.lock()
        };
        assert_eq!(response.await.unwrap(), 7);
    });
}

#[test]
fn concurrent_calls_run_side_by_side() {
    on_two_workers(|Handles { leaf, .. }| async move {
        // Each blocks its thread until the other one has begun.
        let barrier = Arc::new(Barrier::new(2));
        let calls = [leaf.meet(Arc::clone(&barrier)), leaf.meet(barrier)];
        for ended in join_all(calls).await {
            ended.unwrap();
        }
    });
}

#[test]
fn ordered_calls_begin_in_order() {
    everywhere(|Handles { see, one, mutable, .. }| async move {
        for _ in 0..20 {
            let (a, b) = (one.note("a".to_owned()), one.note("b".to_owned()));
            b.await.unwrap();
            a.await.unwrap();
            assert_eq!(see.events.take(), ["a", "b"]);
            mutable.note("a".to_owned()).await.unwrap();
            mutable.note("b".to_owned()).await.unwrap();
            assert_eq!(see.events.take(), ["a", "b"]);
        }
    });
}

#[test]
fn responses_may_move_to_other_tasks() {
    everywhere(|Handles { see, leaf, .. }| async move {
        let response = leaf.identity();
        let elsewhere = tokio::spawn(response).await.unwrap().unwrap();
        assert_eq!(elsewhere, (context().request_id().to_owned(), "Leaf".to_owned()));
        for number in 0..100 {
            let response = leaf.count();
            let there = std::thread::spawn(move || match number % 3 {
                0 => drop(response),
                1 => response.detach(),
                _ => drop(response.request_id()),
            });
            // Either side may come first.
            if number % 2 == 0 {
                yield_now().await;
            }
            there.join().unwrap();
        }
        let _ = see.count.load(Ordering::SeqCst);
    });
}

#[test]
fn calls_have_their_own_context() {
    everywhere(|Handles { leaf, .. }| async move {
        let request = context().request_id().to_owned();
        let mut response = leaf.identity();
        assert_eq!(response.request_id(), request);
        assert!(format!("{response:?}").contains("identity"), "{response:?}");
        assert_eq!((&mut response).await.unwrap(), (request.clone(), "Leaf".to_owned()));
        assert_eq!(response.request_id(), request);
        assert!(format!("{response:?}").contains("done"), "{response:?}");
        assert!(!leaf.remaining().await.unwrap());
        let hour = CallOptions::new().timeout(Duration::from_secs(3600));
        assert!(leaf.options(hour).remaining().await.unwrap());
    });
}

#[test]
fn a_passed_deadline_prevents_the_call() {
    everywhere(|Handles { see, leaf, .. }| async move {
        let late = leaf.options(CallOptions::new().timeout(Duration::ZERO));
        let ended = late.note("never".to_owned()).await;
        assert!(matches!(ended, Err(CallError::DeadlineExceeded)), "{ended:?}");
        assert!(see.events.take().is_empty());
        let soon = leaf.options(CallOptions::new().timeout(Duration::from_millis(5)));
        let ended = soon.wait().await;
        assert!(matches!(ended, Err(CallError::DeadlineExceeded)), "{ended:?}");
        assert_eq!(see.events.take_when(2).await, ["began", "dropped"]);
    });
}

#[test]
fn blocking_waits_in_async_code_are_refused() {
    everywhere(|Handles { see, leaf, .. }| async move {
        let refused = leaf.note("never".to_owned()).result();
        assert!(matches!(refused, Err(CallError::BlockingInAsync)));
        assert_eq!(leaf.lock().await.unwrap(), 7);
        assert!(see.events.take().is_empty());
    });
}

#[test]
fn calls_may_recurse_to_any_depth() {
    everywhere(|Handles { leaf, .. }| async move {
        assert_eq!(leaf.deeper(leaf.clone(), 2_000).await.unwrap(), 2_000);
    });
}

#[test]
fn call_loops_let_other_tasks_run() {
    everywhere(|Handles { leaf, .. }| async move {
        let ticks = Arc::new(AtomicUsize::new(0));
        let ticked = Arc::clone(&ticks);
        let ticking = tokio::spawn(async move {
            loop {
                ticked.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        while ticks.load(Ordering::Relaxed) < 10 {
            leaf.count().await.unwrap();
        }
        ticking.abort();
    });
}

#[test]
fn callers_may_block_on_their_callee() {
    on_two_workers(|Handles { leaf, .. }| async move {
        let (sender, received) = mpsc::channel();
        let response = leaf.send(sender);
        assert_eq!(tokio::task::block_in_place(|| received.recv().unwrap()), 7);
        response.await.unwrap();
        let (sender, received) = mpsc::channel();
        tokio::task::block_in_place(|| {
            let response = leaf.send(sender);
            assert_eq!(received.recv().unwrap(), 7);
            response.detach();
        });
    });
}

#[test]
fn shutdown_drops_suspended_calls() {
    for in_place in [true, false] {
        let way = Way { workers: 2, in_place };
        let tokio = threads(way.workers);
        let (runtime, top, _) = tokio.block_on(way.graph());
        let (made, is_made) = mpsc::channel();
        let (go, goes) = mpsc::channel::<()>();
        let (made, goes) = (Mutex::new(made), Arc::new(Mutex::new(goes)));
        let inner: Inner = Arc::new(move |Handles { leaf, .. }| {
            let (made, goes) = (made.lock().clone(), Arc::clone(&goes));
            Box::pin(async move {
                let _response = leaf.call_on_drop(CallsOnDrop(leaf.clone()));
                made.send(()).unwrap();
                let _ = goes.lock().recv();
                yield_now().await;
            })
        });
        let call = tokio.spawn(async move { top.run(inner).await });
        is_made.recv().unwrap();
        tokio.shutdown_background();
        go.send(()).unwrap();
        let other = Builder::new_current_thread().build().unwrap();
        // It ends, one way or the other.
        let _ = other.block_on(call);
        drop(runtime);
    }
}

/// The one difference: until its first suspension, a call in place sees the task of its caller.
#[test]
fn task_locals_are_the_callers_until_suspension() {
    for way in ways() {
        threads(way.workers).block_on(async {
            let (_runtime, top, _) = way.graph().await;
            let Way { in_place, .. } = way;
            let inner: Inner = Arc::new(move |Handles { leaf, .. }| {
                Box::pin(MARK.scope(5, async move {
                    let own = tokio::task::try_id();
                    let [before, after] = leaf.surroundings().await.unwrap();
                    assert_eq!(before.0, in_place.then_some(5));
                    assert_eq!(before.1 == own, in_place);
                    assert_eq!(after.0, None);
                    assert_ne!(after.1, own);
                }))
            });
            top.run(inner).await.unwrap();
        });
    }
}

#[test]
fn status_counts_calls_in_place() {
    for way in ways() {
        threads(way.workers).block_on(async {
            let (runtime, top, _) = way.graph().await;
            let inner: Inner = Arc::new(|Handles { see, leaf, .. }| {
                Box::pin(async move {
                    for _ in 0..3 {
                        leaf.count().await.unwrap();
                    }
                    drop(leaf.count());
                    let waiting = leaf.wait();
                    see.go.notify_one();
                    waiting.await.unwrap();
                })
            });
            top.run(inner).await.unwrap();
            let in_place = u64::from(way.in_place);
            let methods = deployment(&runtime, "Leaf").methods;
            let count = methods["count"];
            assert_eq!(count.in_place, 3 * in_place, "{way:?}");
            assert_eq!(count.spawned, 4 * (1 - in_place), "{way:?}");
            let wait = methods["wait"];
            assert_eq!((wait.in_place, wait.spawned), (in_place, 1 - in_place), "{way:?}");
            let top = deployment(&runtime, "Top").methods["run"];
            assert_eq!((top.in_place, top.spawned), (0, 1), "made outside of any method");
        });
    }
}

/// The replica of a call ends between the making of the call and its first poll, or while the
/// call waits after its first poll.
#[tokio::test(start_paused = true)]
async fn calls_outlive_a_replica_only_before_they_begin() {
    for in_place in [true, false] {
        let see = See::default();
        let runtime = Arc::new(MockRuntime::builder().mode(Mode::Local).in_place(in_place).start());
        let leaf = Leaf::bind(Arc::clone(&see)).num_replicas(2);
        let top = Top::bind(
            Arc::clone(&see),
            leaf.clone(),
            Middle::bind(leaf),
            One::bind(Arc::clone(&see)),
            Mutable::bind(Arc::clone(&see)),
        );
        let top = runtime.run(top).await.unwrap();
        let world = Arc::clone(&runtime);
        let inner: Inner = Arc::new(move |Handles { see, leaf, .. }| {
            let world = Arc::clone(&world);
            Box::pin(async move {
                let response = leaf.note("elsewhere".to_owned());
                assert!(world.kill_replica::<Leaf>(0));
                let ended = response.await;
                // Both were killed if the call had been on the other one.
                assert!(ended.is_ok(), "{ended:?}");
                assert_eq!(see.events.take(), ["elsewhere"]);
                let mut response = leaf.wait();
                assert!(futures::poll!(&mut response).is_pending());
                assert_eq!(see.events.take_when(1).await, ["began"]);
                while world.kill_replica::<Leaf>(0) || world.kill_replica::<Leaf>(1) {}
                let ended = response.await;
                let Err(CallError::Unavailable { started: true, .. }) = ended else {
                    panic!("{ended:?}");
                };
                assert_eq!(see.events.take_when(1).await, ["dropped"]);
            })
        });
        top.run(inner).await.unwrap();
    }
}

#[test]
fn nested_call_loops_let_other_tasks_run() {
    everywhere(|Handles { middle, see, .. }| async move {
        let flag = Arc::clone(&see);
        let flagging = tokio::spawn(async move {
            for _ in 0..10 {
                yield_now().await;
            }
            flag.count.store(1, Ordering::SeqCst);
        });
        middle.until_counted().await.unwrap();
        flagging.await.unwrap();
    });
}

#[test]
fn a_kept_response_has_begun_its_call() {
    everywhere(|Handles { leaf, .. }| async move {
        // More often than the budget of a task lasts.
        for _ in 0..1_000 {
            let (sender, received) = tokio::sync::oneshot::channel();
            let sender = Arc::new(Mutex::new(Some(sender)));
            let response = leaf.send_once(sender);
            let kept = match futures::future::select(response, std::future::ready(())).await {
                futures::future::Either::Left(_) => continue,
                futures::future::Either::Right((_, response)) => response,
            };
            received.await.unwrap();
            drop(kept);
        }
    });
}

#[test]
fn cancelled_responses_keep_their_names() {
    everywhere(|Handles { leaf, .. }| async move {
        let request = context().request_id().to_owned();
        for _ in 0..2 {
            let response = leaf.count();
            response.cancel();
            response.cancel();
            assert_eq!(response.request_id(), request);
            let failed = response.object_ref().get().await.unwrap_err();
            assert!(format!("{failed}").contains("Leaf.count"), "{failed}");
        }
        let response = leaf.count();
        response.cancel();
        let failed = leaf.add(response, 1).await.unwrap_err();
        assert!(format!("{failed}").contains("Leaf.count"), "{failed}");
        let mut response = leaf.count();
        response.cancel();
        assert!(matches!((&mut response).await, Err(CallError::Cancelled)));
        assert_eq!(response.request_id(), request);
        let response = leaf.count();
        response.cancel();
        response.detach();
    });
}

#[test]
fn methods_run_on_their_own_runtime() {
    on_two_workers(|Handles { leaf, .. }| async move {
        let here = tokio::runtime::Handle::current().id();
        let there = tokio::task::block_in_place(|| {
            let other = Builder::new_current_thread().build().unwrap();
            let made_before = leaf.runtime();
            let before = other.block_on(made_before).unwrap();
            [before, other.block_on(async { leaf.runtime().await }).unwrap()]
        });
        assert_eq!(there, [here, here]);
    });
}

/// A mock that asserts fails its call, not the method that made the call.
#[tokio::test(start_paused = true)]
async fn a_panicking_mock_fails_only_its_call() {
    for in_place in [true, false] {
        let mock = LoggingMock::new().log(|| -> std::future::Ready<()> { panic!("asserted") });
        let runtime =
            MockRuntime::builder().mode(Mode::Local).in_place(in_place).mock(mock).start();
        let instrumented = runtime.run(Instrumented::bind(Logging::bind())).await.unwrap();
        let failed = instrumented.log().await.unwrap_err();
        assert!(format!("{failed}").contains("asserted"), "{failed}");
    }
}

#[deployment]
struct Varying {
    long: AtomicUsize,
}

#[handle]
impl Varying {
    pub fn new() -> Self {
        Self { long: AtomicUsize::new(0) }
    }

    /// Computes for some milliseconds so many times.
    pub async fn turn_long(&self, times: usize) {
        self.long.store(times, Ordering::Relaxed);
    }

    pub async fn work(&self) -> u64 {
        if self.long.load(Ordering::Relaxed) == 0 {
            return 1;
        }
        self.long.fetch_sub(1, Ordering::Relaxed);
        let began = tokio::time::Instant::now();
        let mut state = 1_u64;
        while began.elapsed() < Duration::from_millis(10) {
            state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005));
        }
        state
    }

    pub async fn suspend(&self) {
        yield_now().await;
    }
}

#[deployment]
struct Pipeline {
    varying: VaryingHandle,
}

#[handle]
impl Pipeline {
    pub fn new(varying: VaryingHandle) -> Self {
        Self { varying }
    }

    pub async fn work(&self, times: usize) -> Result<()> {
        for _ in 0..times {
            self.varying.work().await?;
        }
        Ok(())
    }

    pub async fn suspend(&self, times: usize) -> Result<()> {
        for _ in 0..times {
            self.varying.suspend().await?;
        }
        Ok(())
    }

    pub async fn turn_long(&self, times: usize) -> Result<()> {
        Ok(self.varying.turn_long(times).await?)
    }
}

/// On the real clock, because on a paused one nothing is timed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_methods_are_promoted_to_in_place() {
    let runtime = Runtime::builder().start().await.unwrap();
    let pipeline = runtime.run(Pipeline::bind(Varying::bind())).await.unwrap();
    pipeline.work(50).await.unwrap();
    assert_eq!(deployment(&runtime, "Varying").methods["work"].in_place, 0);
    // Another program may interrupt a poll, which looks like a long one then.
    while deployment(&runtime, "Varying").methods["work"].in_place == 0 {
        pipeline.work(64).await.unwrap();
    }
    // The sweeper sees the first poll that is as long as this one, unless another program keeps the
    // sweeper's thread from running meanwhile.
    let mut turns = 0;
    loop {
        pipeline.turn_long(1).await.unwrap();
        pipeline.work(1).await.unwrap();
        let turned = deployment(&runtime, "Varying").methods["work"];
        pipeline.work(100).await.unwrap();
        let after = deployment(&runtime, "Varying").methods["work"];
        if after.in_place == turned.in_place {
            break;
        }
        turns += 1;
        assert!(turns < 100, "{turned:?} {after:?}");
    }
    pipeline.suspend(1_000).await.unwrap();
    let suspending = deployment(&runtime, "Varying").methods["suspend"];
    assert_eq!((suspending.in_place, suspending.spawned), (0, 1_000));
}

#[deployment]
struct Logging;

#[handle]
impl Logging {
    pub fn new() -> Self {
        Self
    }

    pub async fn log(&self) {}
}

#[deployment]
struct Instrumented {
    logging: LoggingHandle,
}

#[handle]
impl Instrumented {
    pub fn new(logging: LoggingHandle) -> Self {
        Self { logging }
    }

    pub async fn log(&self) -> Result<()> {
        Ok(self.logging.log().await?)
    }
}

#[cfg(feature = "http")]
#[deployment]
struct Front;

#[cfg(feature = "http")]
#[handle]
impl Front {
    pub fn new() -> Self {
        Self
    }

    #[get("/task")]
    pub async fn task(&self) -> String {
        format!("{:?}", tokio::task::id())
    }
}

/// On the task of the connection, as a handler of axum does: two requests of one connection see
/// the same task.
#[cfg(feature = "http")]
#[tokio::test]
async fn endpoints_run_on_the_connections_task() -> Result<()> {
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

    for in_place in [true, false] {
        let builder = Runtime::builder().http(([127, 0, 0, 1], 0)).in_place(in_place);
        let runtime = builder.start().await?;
        let _front = runtime.run(Front::bind()).await?;
        let address = runtime.http_address().unwrap();
        let mut stream = BufReader::new(tokio::net::TcpStream::connect(address).await?);
        let mut tasks = Vec::new();
        for _ in 0..2 {
            stream.write_all(b"GET /task HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
            let (mut line, mut length) = (String::new(), 0);
            while line != "\r\n" {
                line.clear();
                stream.read_line(&mut line).await?;
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse()?;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            tasks.push(String::from_utf8(body)?);
        }
        assert_eq!(tasks[0] == tasks[1], in_place, "{tasks:?}");
        runtime.shutdown().await;
    }
    Ok(())
}
