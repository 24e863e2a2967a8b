//! `#[blocking]` methods that wait: the threads of a replica are no limit beside its slots.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use serve_core::prelude::*;
use tokio::runtime::{Builder, Handle};
use tokio::time::{Instant, sleep, timeout};

/// One thread, as for each deployment that reserves no CPU.
#[deployment]
struct Nest {
    models: Multiplexed<u32>,
    threads: Arc<Mutex<HashSet<ThreadId>>>,
    computing: AtomicUsize,
}

#[handle]
impl Nest {
    #[blocking]
    fn new(threads: Arc<Mutex<HashSet<ThreadId>>>) -> Self {
        let load = |id: String| async move {
            let nest = replica_context().expect("a load runs on a replica");
            assert_eq!(nest.deployment(), "Nest");
            let nest = NEST.lock().clone().expect("it was set");
            nest.leaf(id.len()).await
        };
        let models = Multiplexed::new(2, load);
        Self { models, threads, computing: AtomicUsize::new(0) }
    }

    #[blocking]
    pub fn leaf(&self, number: usize) -> u32 {
        self.threads.lock().insert(thread::current().id());
        u32::try_from(number).unwrap()
    }

    #[blocking]
    pub fn numbers(&self, count: u32) -> impl Iterator<Item = u32> + use<> {
        0..count
    }

    #[blocking]
    pub fn by_result(&self, me: NestHandle, depth: usize) -> Result<u32> {
        self.threads.lock().insert(thread::current().id());
        if depth == 0 {
            return Ok(0);
        }
        Ok(me.by_result(me.clone(), depth - 1).result()? + 1)
    }

    #[blocking]
    pub fn by_result_timeout(&self, me: NestHandle) -> Result<u32> {
        Ok(me.leaf(2_usize).result_timeout(Duration::from_secs(3_600))?)
    }

    #[blocking]
    pub fn by_reference(&self, me: NestHandle, object: ObjectRef<u32>) -> Result<u32> {
        let own = me.leaf(3_usize).object_ref();
        let again = Handle::current().block_on(own.get())?;
        Ok(object.result()? + own.result()? + *again)
    }

    #[blocking]
    pub fn by_stream(&self, me: NestHandle) -> Result<u32> {
        // More than there is room for, so that the producer waits for this method, too.
        let items: Result<Vec<u32>, _> = me.numbers(100_u32).blocking_iter().collect();
        Ok(items?.into_iter().sum())
    }

    #[blocking]
    pub fn by_input(&self, numbers: InputStream<u32>) -> Result<u32> {
        let items: Result<Vec<u32>, _> = numbers.blocking_iter().collect();
        Ok(items?.into_iter().sum())
    }

    #[blocking]
    pub fn by_own_input(&self, me: NestHandle) -> Result<u32> {
        Ok(me.by_input(me.numbers(100_u32)).result()?)
    }

    #[blocking]
    pub fn by_third(&self, me: NestHandle, third: ThirdHandle) -> Result<u32> {
        Ok(third.pass(me).result()?)
    }

    #[blocking]
    pub fn by_model(&self) -> Result<u32> {
        Ok(*self.models.blocking_current()?)
    }

    #[blocking]
    pub fn by_other_executors(&self, me: NestHandle) -> Result<u32> {
        let tokio = Handle::current();
        let one = tokio.block_on(me.leaf(1_usize))?;
        let two = tokio.block_on(async { me.leaf(2_usize).await })?;
        let items: Vec<u32> = tokio.block_on(me.numbers(50_u32).try_collect())?;
        Ok(one + two + u32::try_from(items.len()).unwrap())
    }

    /// The number of these that compute at this moment.
    #[blocking]
    pub fn compute(&self) -> usize {
        let computing = self.computing.fetch_add(1, Ordering::SeqCst) + 1;
        for _ in 0..100 {
            thread::yield_now();
        }
        self.computing.fetch_sub(1, Ordering::SeqCst);
        computing
    }

    #[blocking]
    pub fn waits_for(&self, third: ThirdHandle, seconds: u64) -> Result<u64> {
        Ok(third.rest(seconds).result()?)
    }
}

#[deployment]
#[derive(Default)]
struct Third;

#[handle]
impl Third {
    pub async fn pass(&self, nest: NestHandle) -> Result<u32> {
        Ok(nest.leaf(7_usize).await?)
    }

    pub async fn rest(&self, seconds: u64) -> u64 {
        sleep(Duration::from_secs(seconds)).await;
        seconds
    }
}

/// Waits in its constructor for what another deployment's only thread does.
#[deployment]
struct Waiting(u32);

#[handle]
impl Waiting {
    #[blocking]
    fn new(nest: NestHandle) -> Result<Self> {
        Ok(Self(nest.by_result(nest.clone(), 3).result()?))
    }

    pub async fn got(&self) -> u32 {
        self.0
    }
}

#[deployment]
struct Front(Handles);

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Handles {
    nest: NestHandle,
    third: ThirdHandle,
    waiting: WaitingHandle,
}

#[handle]
impl Front {
    fn new(nest: NestHandle, third: ThirdHandle, waiting: WaitingHandle) -> Self {
        Self(Handles { nest, third, waiting })
    }

    pub async fn handles(&self) -> Handles {
        self.0.clone()
    }
}

/// The handle for the loads of models, which get nothing but an id.
static NEST: Mutex<Option<NestHandle>> = Mutex::new(None);
/// The tests take turns, because they share the handle.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

type Threads = Arc<Mutex<HashSet<ThreadId>>>;

/// A hang of threads would last for ever, whatever the clock says.
async fn within<T>(call: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(100), call).await.expect("nothing hangs")
}

async fn start(runtime: &Runtime, cpus: f64) -> Result<(Handles, Threads)> {
    let threads = Threads::default();
    let nest = Nest::bind(Arc::clone(&threads)).num_cpus(cpus);
    let waiting = Waiting::bind(nest.clone());
    let front = within(runtime.run(Front::bind(nest, Third::bind(), waiting))).await?;
    let handles = front.handles().await?;
    *NEST.lock() = Some(handles.nest.clone());
    Ok((handles, threads))
}

/// Each way in which a method may wait for a method of its own deployment, which has one thread.
async fn every_way_to_wait(runtime: &Runtime) -> Result<()> {
    let (Handles { nest, third, waiting }, threads) = start(runtime, 0.0).await?;
    assert_eq!(waiting.got().await?, 3, "a constructor has waited, too");
    let me = || nest.clone();
    // All slots but a few: each call waits for the next.
    assert_eq!(within(nest.by_result(me(), 90_usize)).await?, 90);
    let used = threads.lock().len();
    assert!(used <= 96, "{used} threads for 91 calls and those of the constructor");

    assert_eq!(within(nest.by_result_timeout(me())).await?, 2);
    assert_eq!(within(nest.by_reference(me(), nest.leaf(4_usize).object_ref())).await?, 10);
    assert_eq!(within(nest.by_stream(me())).await?, 4_950);
    assert_eq!(within(nest.by_own_input(me())).await?, 4_950);
    assert_eq!(within(nest.by_third(me(), third.clone())).await?, 7);
    assert_eq!(within(nest.by_other_executors(me())).await?, 53);
    let model = CallOptions::new().multiplexed_model_id("four");
    assert_eq!(within(nest.options(model).by_model()).await?, 4);

    // Many at once, within the slots.
    let calls = (0..20).map(|_| nest.by_result(me(), 3_usize));
    for call in within(join_all(calls)).await {
        assert_eq!(call?, 3);
    }
    let calls = (0..40).map(|_| nest.by_third(me(), third.clone()));
    for call in within(join_all(calls)).await {
        assert_eq!(call?, 7);
    }
    *NEST.lock() = None;
    runtime.shutdown().await;
    Ok(())
}

#[test]
fn a_method_may_wait_for_its_own_deployment_in_every_way() {
    for workers in [1, 3] {
        let tokio = Builder::new_multi_thread().worker_threads(workers).enable_all().build();
        tokio.unwrap().block_on(async {
            let _turn = TURN.lock().await;
            let runtime = Runtime::builder().start().await.unwrap();
            every_way_to_wait(&runtime).await.unwrap();
        });
    }
    let tokio = Builder::new_current_thread().enable_all().build();
    tokio.unwrap().block_on(async {
        let _turn = TURN.lock().await;
        let runtime = Runtime::builder().start().await.unwrap();
        every_way_to_wait(&runtime).await.unwrap();
    });
}

#[tokio::test(start_paused = true)]
async fn so_it_may_on_a_paused_clock() -> Result<()> {
    let _turn = TURN.lock().await;
    for mode in [Mode::Local, Mode::Wire] {
        let runtime = MockRuntime::builder().mode(mode).start();
        let (Handles { nest, third, .. }, _) = start(&runtime, 0.0).await?;
        let me = || nest.clone();
        assert_eq!(within(nest.by_result(me(), 30_usize)).await?, 30);
        assert_eq!(within(nest.by_reference(me(), nest.leaf(4_usize).object_ref())).await?, 10);
        assert_eq!(within(nest.by_stream(me())).await?, 4_950);
        assert_eq!(within(nest.by_own_input(me())).await?, 4_950);
        assert_eq!(within(nest.by_third(me(), third.clone())).await?, 7);
        let model = CallOptions::new().multiplexed_model_id("four");
        assert_eq!(within(nest.options(model).by_model()).await?, 4);
        // Time passes while all of them wait for it.
        let began = Instant::now();
        let calls = (1..=60_u64).map(|seconds| nest.waits_for(third.clone(), seconds));
        for (call, seconds) in within(join_all(calls)).await.into_iter().zip(1..) {
            assert_eq!(call?, seconds);
        }
        assert_eq!(began.elapsed(), Duration::from_secs(60), "{mode:?}");
        *NEST.lock() = None;
    }
    Ok(())
}

/// However many threads there are because of methods that have waited.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_methods_compute_at_a_time_than_there_are_cpus() -> Result<()> {
    let _turn = TURN.lock().await;
    let runtime = Runtime::builder().num_cpus(100.0).start().await?;
    for (cpus, most) in [(0.0, 1), (1.5, 2), (3.0, 3)] {
        let (Handles { nest, .. }, _) = start(&runtime, cpus).await?;
        assert_eq!(within(nest.by_result(nest.clone(), 20_usize)).await?, 20);
        let calls = (0..60).map(|_| nest.compute());
        for computing in within(join_all(calls)).await {
            let computing = computing?;
            assert!(computing <= most, "{computing} compute on {cpus} CPUs");
        }
    }
    *NEST.lock() = None;
    Ok(())
}

/// The method holds a lock while it waits, for which the others wait with their threads: if it had
/// to wait for a thread in its turn, none of them would ever end.
#[deployment]
#[derive(Default)]
struct Locked(Mutex<()>);

#[handle]
impl Locked {
    #[blocking]
    pub fn wait(&self, third: ThirdHandle) -> Result<u64> {
        let _locked = self.0.lock();
        Ok(third.rest(0_u64).result()?)
    }
}

#[deployment]
struct Locks(LockedHandle, ThirdHandle);

#[handle]
impl Locks {
    fn new(locked: LockedHandle, third: ThirdHandle) -> Self {
        Self(locked, third)
    }

    pub async fn all(&self) -> Result<usize> {
        let calls = (0..50).map(|_| self.0.wait(self.1.clone()));
        let ended = join_all(calls).await;
        Ok(ended.into_iter().filter(Result::is_ok).count())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_that_has_waited_goes_on_though_others_compute() -> Result<()> {
    let runtime = Runtime::builder().start().await?;
    let locks = runtime.run(Locks::bind(Locked::bind(), Third::bind())).await?;
    assert_eq!(within(locks.all()).await?, 50);
    Ok(())
}
