//! References to results that may not exist yet.

use crate::support::gauges::Gauge;
use crate::support::runtimes::mock_runtime;

use std::fmt;
use std::time::Duration;

use serve_core::prelude::*;
use tokio::time::{sleep, timeout};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Batch {
    name: String,
    parts: Vec<ObjectRef<u64>>,
}

/// Panics when it is written, read or shown, as its text says.
#[derive(Debug, PartialEq)]
struct Unlike(String);

impl Unlike {
    fn is_not(&self, done: &str) {
        assert!(self.0 != done, "it cannot be {done}");
    }
}

impl Serialize for Unlike {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.is_not("written");
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Unlike {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let unlike = Self(String::deserialize(deserializer)?);
        unlike.is_not("read");
        Ok(unlike)
    }
}

impl fmt::Display for Unlike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.is_not("shown");
        f.write_str(&self.0)
    }
}

#[deployment]
struct Store(Gauge);

#[handle]
impl Store {
    fn new(running: Gauge) -> Self {
        Self(running)
    }

    pub async fn slow(&self, value: u64) -> u64 {
        let _running = self.0.enter();
        sleep(Duration::from_secs(1)).await;
        value
    }

    pub async fn fail(&self) -> Result<u64> {
        Err(Error::msg("no such paper").with_status(404))
    }

    pub async fn add(&self, a: u64, b: u64) -> u64 {
        a + b
    }

    /// Starts at once, whatever its arguments wait for.
    pub async fn by_reference(&self, one: ObjectRef<u64>, batch: Batch) -> Result<Vec<u64>> {
        let began = tokio::time::Instant::now();
        let mut values = vec![one.await?];
        for part in &batch.parts {
            values.push(*part.get().await?);
        }
        values.push(began.elapsed().as_secs());
        Ok(values)
    }

    pub async fn unlike(&self) -> Result<u64, Unlike> {
        sleep(Duration::from_secs(1)).await;
        Err(Unlike("shown".to_owned()))
    }

    /// Drops the reference and goes on.
    pub async fn drop_and_on(&self, number: ObjectRef<u64>) {
        drop(number);
        sleep(Duration::from_secs(60)).await;
    }

    /// Awaits two clones at the same time.
    pub async fn twice(&self, unlike: ObjectRef<Unlike>) -> Vec<Result<(), String>> {
        let get = |unlike: ObjectRef<Unlike>| async move {
            unlike.get().await.map(|_| ()).map_err(|error| error.to_string())
        };
        let (one, two) = futures::join!(get(unlike.clone()), get(unlike));
        vec![one, two]
    }

    pub async fn make(&self, value: u64) -> ObjectRef<u64> {
        ObjectRef::put(value)
    }
}

async fn store() -> Result<(MockRuntime, StoreHandle, Gauge)> {
    let running = Gauge::default();
    let (runtime, store) = mock_runtime(Store::bind(running.clone())).await?;
    Ok((runtime, store, running))
}

#[tokio::test(start_paused = true)]
async fn references_can_be_awaited_shared_and_passed() -> Result<()> {
    let (_runtime, store, running) = store().await?;
    let five = store.slow(5).object_ref();
    let six = ObjectRef::put(6_u64);
    assert_eq!(store.add(&five, six.clone()).await?, 11);
    assert_eq!(store.add(five.clone(), 1).await?, 6);
    assert_eq!((*five.get().await?, five.clone().await?, (&five).await?), (5, 5, 5));
    assert_eq!(running.left(), 1, "it ran once");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn callees_start_before_references_are_ready() -> Result<()> {
    let (_runtime, store, _) = store().await?;
    let parts = vec![store.slow(2).object_ref(), ObjectRef::put(3)];
    let batch = Batch { name: "batch".to_owned(), parts };
    // A response passes for a reference too.
    let values = store.by_reference(store.slow(1), batch).await?;
    assert_eq!(values, [1, 2, 3, 1]);
    assert_eq!(store.make(7).await?.await?, 7);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_last_clone_cancels_the_call() -> Result<()> {
    let (_runtime, store, running) = store().await?;
    let one = store.slow(1).object_ref();
    let two = one.clone();
    sleep(Duration::from_millis(1)).await;
    drop(one);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(running.left(), 0);
    drop(two);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(running.left(), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn producer_errors_reach_every_waiter() -> Result<()> {
    let (_runtime, store, _) = store().await?;
    let failed = store.fail().object_ref();
    for _ in 0..2 {
        let error = failed.get().await.unwrap_err();
        let CallError::Upstream(upstream) = &error else { panic!("{error:?}") };
        assert_eq!((upstream.producer(), upstream.consumer()), ("Store.fail", None));
        assert!(error.to_string().contains("no such paper"));
        assert_eq!(Error::from(error).status(), None, "a callee's 404 is not its caller's");
    }
    let error = store.add(&failed, 1).await.unwrap_err();
    assert!(error.to_string().contains("Store.add") && error.to_string().contains("Store.fail"));
    Ok(())
}

#[test]
fn references_serialize_only_within_calls() {
    let error = serde_json::to_string(&ObjectRef::put(1)).unwrap_err();
    assert!(error.to_string().contains("only as part of a call"), "{error}");
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Failed {
    why: ObjectRef<u64>,
    store: StoreHandle,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("failed, and the reference says why")
    }
}

/// Passes references on before they are ready.
#[deployment]
struct Hub {
    store: StoreHandle,
}

#[handle]
impl Hub {
    fn new(store: StoreHandle) -> Self {
        Self { store }
    }

    pub async fn fan_out(&self, object: ObjectRef<u64>) -> Result<u64> {
        let batch = |parts| Batch { name: "batch".to_owned(), parts };
        let one =
            self.store.by_reference(object.clone(), batch(vec![object.clone(), object.clone()]));
        let other = self.store.by_reference(object.clone(), batch(Vec::new()));
        let here = object.get();
        let (one, other, here) = futures::join!(one, other, here);
        Ok(one?[..3].iter().sum::<u64>() + other?[0] + *here?)
    }

    pub async fn fail(&self) -> Result<(), Failed> {
        Err(Failed { why: self.store.slow(42).object_ref(), store: self.store.clone() })
    }
}

#[tokio::test(start_paused = true)]
async fn several_tasks_await_a_pending_reference() -> Result<()> {
    let running = Gauge::default();
    let runtime = MockRuntime::builder().start();
    let hub = runtime.run(Hub::bind(Store::bind(running.clone()))).await?;
    let store = runtime.get_deployment_handle::<Store>("default", "Store")?;
    assert_eq!(hub.fan_out(store.slow(5)).await?, 25);
    assert_eq!(running.left(), 1, "it ran once");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_callee_may_drop_the_last_reference() -> Result<()> {
    for mode in [Mode::Local, Mode::Wire] {
        let running = Gauge::default();
        let runtime = MockRuntime::builder().mode(mode).start();
        let store = runtime.run(Store::bind(running.clone())).await?;
        let call = store.drop_and_on(store.slow(1));
        sleep(Duration::from_millis(500)).await;
        assert_eq!(running.left(), 1, "{mode:?}: before it has its value");
        call.await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_value_panic_is_an_error_for_every_waiter() -> Result<()> {
    let runtime = MockRuntime::builder().mode(Mode::Wire).start();
    let store = runtime.run(Store::bind(Gauge::default())).await?;
    for done in ["written", "read"] {
        let twice = store.twice(ObjectRef::put(Unlike(done.to_owned())));
        let ended = timeout(Duration::from_secs(60), twice).await.expect("it does not hang");
        let panicked = Err(format!("the method panicked: it cannot be {done}"));
        assert_eq!(ended?, [panicked.clone(), panicked]);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn errors_may_hold_references_and_handles() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let hub = runtime.run(Hub::bind(Store::bind(Gauge::default()))).await?;
    let CallError::App(failed) = hub.fail().await.unwrap_err() else { panic!("its own error") };
    assert_eq!(*failed.why.get().await?, 42);
    assert_eq!(failed.store.add(1, 2).await?, 3);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_error_panic_is_an_error_for_every_waiter() -> Result<()> {
    let (_runtime, store, _) = store().await?;
    let failed = store.unlike().object_ref();
    let both = futures::future::join(failed.get(), failed.get());
    let (one, two) = timeout(Duration::from_secs(60), both).await.expect("neither hangs");
    let panicked = || Err(CallError::Panicked("it cannot be shown".to_owned()));
    assert_eq!((one, two), (panicked(), panicked()));
    Ok(())
}
