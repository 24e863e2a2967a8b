//! Tasks that a method spawns: what they keep of the method's call, and what ends them.

use crate::support::runtimes;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use serve_core::prelude::*;
use serve_core::{in_context, spawn};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// All that a task can see of its call.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
struct Seen {
    request: String,
    deadline: bool,
    model: Option<String>,
    session: Option<String>,
    trace: Option<String>,
    route: Option<String>,
    application: String,
    deployment: Option<String>,
}

fn seen() -> Seen {
    let context = context();
    Seen {
        request: context.request_id().to_owned(),
        deadline: context.deadline().is_some(),
        model: context.multiplexed_model_id().map(str::to_owned),
        session: context.session_id().map(str::to_owned),
        trace: context.trace().map(str::to_owned),
        route: context.route().map(str::to_owned),
        application: context.application().to_owned(),
        deployment: replica_context().map(|replica| replica.deployment().to_owned()),
    }
}

#[deployment]
#[derive(Default)]
struct Leaf;

#[handle]
impl Leaf {
    pub async fn see(&self) -> Seen {
        seen()
    }

    pub async fn rest(&self, ms: u64) {
        sleep(Duration::from_millis(ms)).await;
    }
}

/// Counts itself while it lives.
struct Guard(Arc<AtomicUsize>);

impl Guard {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(alive))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[deployment]
struct Root {
    leaf: LeafHandle,
    alive: Arc<AtomicUsize>,
    go: Arc<Notify>,
    late: Arc<Mutex<Vec<Result<Seen, CallError>>>>,
}

type Late = Arc<Mutex<Vec<Result<Seen, CallError>>>>;

#[handle]
impl Root {
    fn new(leaf: LeafHandle, alive: Arc<AtomicUsize>, go: Arc<Notify>, late: Late) -> Self {
        Self { leaf, alive, go, late }
    }

    /// What the method sees, and then what code sees that runs for it in some way.
    #[get("/see")]
    pub async fn see(&self) -> Result<Vec<(String, Seen)>> {
        let mut all = vec![("here".to_owned(), seen())];
        let leaf = self.leaf.clone();
        let (task, its_leaf, nested) = spawn(async move {
            let its_leaf = leaf.see().await;
            // A task of the task, and a stream that is polled in it.
            let nested = spawn(async {
                sleep(Duration::from_millis(1)).await;
                seen()
            })
            .await;
            (seen(), its_leaf, nested)
        })
        .await?;
        all.extend([("task".to_owned(), task), ("nested".to_owned(), nested?)]);
        all.push(("leaf of task".to_owned(), its_leaf?));
        let mut set = JoinSet::new();
        set.spawn(in_context(async { seen() }));
        all.push(("set".to_owned(), set.join_next().await.expect("there is one")?));
        let (joined, _) = tokio::join!(async { seen() }, sleep(Duration::from_millis(1)));
        all.push(("join".to_owned(), joined));
        let selected = tokio::select! { seen = async { seen() } => seen };
        all.push(("select".to_owned(), selected));
        let mut unordered: FuturesUnordered<_> = (0..2).map(|_| async { seen() }).collect();
        all.push(("unordered".to_owned(), unordered.next().await.expect("there are two")));
        let tokio = tokio::runtime::Handle::current();
        let moved = in_context(async { seen() });
        let thread = tokio::task::spawn_blocking(move || tokio.block_on(moved)).await?;
        all.push(("thread".to_owned(), thread));
        Ok(all)
    }

    /// What tokio's own ways to spawn leave.
    pub async fn lost(&self) -> Result<Vec<Seen>> {
        let mut set = JoinSet::new();
        set.spawn(async { seen() });
        Ok(vec![
            tokio::spawn(async { seen() }).await?,
            tokio::task::spawn_blocking(seen).await?,
            set.join_next().await.expect("there is one")?,
        ])
    }

    #[blocking]
    pub fn seen_by_a_thread(&self) -> Vec<Seen> {
        let here = seen();
        let task = tokio::runtime::Handle::current().block_on(spawn(async { seen() }));
        vec![here, task.expect("it does not panic")]
    }

    #[batch(max_batch_size = 4, batch_wait_timeout = "5ms")]
    pub async fn of_a_batch(&self, numbers: Vec<u32>) -> Vec<Seen> {
        let task = spawn(async { seen() }).await.expect("it does not panic");
        vec![task; numbers.len()]
    }

    pub fn items(&self) -> impl Stream<Item = Seen> + use<> {
        futures::stream::once(async { spawn(async { seen() }).await.expect("it does not panic") })
    }

    /// Goes on in a task that nobody waits for, and calls when it is let go.
    pub async fn leave(&self) {
        let (leaf, alive) = (self.leaf.clone(), Guard::new(&self.alive));
        let (go, late) = (Arc::clone(&self.go), Arc::clone(&self.late));
        let _left = spawn(async move {
            go.notified().await;
            let seen = leaf.see().await;
            late.lock().push(seen);
            drop(alive);
        });
    }

    pub async fn leave_and_rest(&self) {
        self.leave().await;
        sleep(Duration::from_secs(3_600)).await;
    }

    pub async fn wait_in_a_set(&self) {
        let mut set = JoinSet::new();
        for _ in 0..3 {
            let alive = Guard::new(&self.alive);
            set.spawn(in_context(async move {
                std::future::pending::<()>().await;
                drop(alive);
            }));
        }
        set.join_all().await;
    }

    pub async fn panic_in_a_task(&self) -> bool {
        let task = spawn(async { panic!("it fell") });
        task.await.is_err_and(|error| error.is_panic())
    }
}

struct Test {
    runtime: Runtime,
    root: RootHandle,
    alive: Arc<AtomicUsize>,
    go: Arc<Notify>,
    late: Late,
}

async fn test(runtime: Runtime) -> Result<Test> {
    let (alive, go, late) = (Arc::default(), Arc::default(), Late::default());
    let bound = Root::bind(Leaf::bind(), Arc::clone(&alive), Arc::clone(&go), Arc::clone(&late));
    let root = runtime.run(bound).await?;
    Ok(Test { runtime, root, alive, go, late })
}

impl Test {
    /// A handle whose calls have all that a call can have.
    fn told(&self) -> RootHandle {
        let options = CallOptions::new().request_id("7").multiplexed_model_id("es");
        self.root.options(options.session_id("dora").timeout(Duration::from_secs(100)))
    }

    fn alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }
}

fn told(deployment: &str) -> Seen {
    Seen {
        request: "7".to_owned(),
        deadline: true,
        model: Some("es".to_owned()),
        session: Some("dora".to_owned()),
        application: "default".to_owned(),
        deployment: Some(deployment.to_owned()),
        ..Seen::default()
    }
}

#[tokio::test]
async fn a_task_keeps_the_context_of_its_call() -> Result<()> {
    let test = test(runtimes::by_environment().await?).await?;
    for (way, seen) in test.told().see().await? {
        let deployment = if way == "leaf of task" { "Leaf" } else { "Root" };
        assert_eq!(seen, told(deployment), "{way}");
    }
    assert_eq!(test.told().seen_by_a_thread().await?, [told("Root"), told("Root")]);
    let items: Vec<_> = test.told().items().try_collect().await?;
    assert_eq!(items, [told("Root")]);
    let of_batch = test.told().of_a_batch(1_u32).await?;
    assert_eq!(of_batch, Seen { deadline: false, ..told("Root") }, "a batch has no deadline");
    for lost in test.told().lost().await? {
        assert_eq!(lost, Seen::default());
    }
    assert!(test.root.panic_in_a_task().await?);
    Ok(())
}

#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn a_task_keeps_the_context_of_its_http_request() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let _test = test(runtime.clone()).await?;
    let request = runtime.http().get("/see").header("x-request-id", "7");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = request.header("traceparent", trace).header("serve_session_id", "dora");
    let request = request.header("serve_multiplexed_model_id", "es");
    let response = request.header("x-request-timeout-seconds", "100").await?;
    let all: Vec<(String, Seen)> = response.json().await?;
    assert_eq!(all.len(), 9);
    for (way, seen) in all {
        let deployment = if way == "leaf of task" { "Leaf" } else { "Root" };
        let (trace, route) = (Some(trace.to_owned()), Some("/see".to_owned()));
        assert_eq!(seen, Seen { trace, route, ..told(deployment) }, "{way}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_task_that_nobody_waits_for_goes_on_as_with_tokio() -> Result<()> {
    let test = test(MockRuntime::builder().start().clone()).await?;
    // The call has ended, was cancelled, was late; and its replica is gone.
    test.told().leave().await?;
    let cancelled = test.told().leave_and_rest();
    sleep(Duration::from_millis(1)).await;
    drop(cancelled);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(test.alive(), 2);
    test.go.notify_waiters();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(test.alive(), 0);
    assert_eq!(std::mem::take(&mut *test.late.lock()), [Ok(told("Leaf")), Ok(told("Leaf"))]);

    let late = test.told().leave_and_rest().await;
    assert_eq!((late, test.alive()), (Err(CallError::DeadlineExceeded), 1));
    test.go.notify_waiters();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(*test.late.lock(), [Err(CallError::DeadlineExceeded)], "its calls are late, too");

    test.told().leave().await?;
    test.runtime.shutdown().await;
    assert_eq!(test.alive(), 1, "the shutdown did not wait for it");
    test.go.notify_waiters();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(test.alive(), 0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_task_does_not_keep_its_replica() -> Result<()> {
    #[deployment]
    struct Held(Arc<AtomicUsize>, Guard);

    #[handle]
    impl Held {
        fn new(alive: Arc<AtomicUsize>) -> Self {
            Self(Arc::clone(&alive), Guard::new(&alive))
        }

        pub async fn leave(&self) {
            drop(spawn(std::future::pending::<()>()));
            let _instance = (&self.0, &self.1);
        }
    }

    let runtime = MockRuntime::builder().start();
    let alive = Arc::<AtomicUsize>::default();
    let held = runtime.run(Held::bind(Arc::clone(&alive))).await?;
    held.leave().await?;
    runtime.delete("default").await?;
    assert_eq!(alive.load(Ordering::SeqCst), 0, "the instance is gone");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_set_of_tasks_ends_with_its_call() -> Result<()> {
    let test = test(MockRuntime::builder().start().clone()).await?;
    let call = test.told().wait_in_a_set();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(test.alive(), 3);
    drop(call);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(test.alive(), 0);
    Ok(())
}

#[test]
fn outside_of_a_call_it_is_tokios() {
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let seen = tokio.block_on(async { spawn(in_context(async { seen() })).await.unwrap() });
    assert_eq!(seen, Seen::default());
    assert_eq!(in_context(async { 1 }).now_or_never(), Some(1), "no runtime is needed");
    let refused = std::panic::catch_unwind(|| drop(spawn(async {}))).expect_err("no runtime");
    let message = refused
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| refused.downcast_ref::<&str>().map(|message| (*message).to_owned()));
    assert!(message.unwrap().contains("outside of a tokio runtime"));
}
