//! Calls by name, as `cargo serve call` makes them, follow the rules of all calls.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};
use serve_core::MockRuntime;
use serve_core::dynamic::AnyApplication;
use serve_core::dynamic::AnyHandle;
use serve_core::prelude::*;
use tokio::time::{Instant, sleep};

#[deployment(max_ongoing_requests = 1, max_queued_requests = 1, request_timeout = "5s")]
#[derive(Default)]
struct Clock;

#[handle]
impl Clock {
    pub async fn wait(&self, seconds: u64) -> u64 {
        sleep(Duration::from_secs(seconds)).await;
        seconds
    }

    #[retry(max = 1)]
    pub async fn steady(&self, seconds: u64) -> u64 {
        self.wait(seconds).await
    }

    pub async fn left(&self) -> Option<u64> {
        serve_core::context()
            .deadline()
            .map(|deadline| deadline.saturating_duration_since(Instant::now()).as_secs())
    }

    pub async fn request(&self) -> String {
        serve_core::context().request_id().to_owned()
    }

    pub async fn asked_for(&self) -> (Option<String>, Option<String>) {
        let context = serve_core::context();
        let model = context.multiplexed_model_id().map(str::to_owned);
        (model, context.session_id().map(str::to_owned))
    }

    #[batch(max_batch_size = 2, batch_wait_timeout = "1s")]
    pub async fn double(&self, numbers: Vec<u64>) -> Vec<u64> {
        numbers.into_iter().map(|number| number * 2).collect()
    }
}

async fn clock(runtime: &MockRuntime) -> AnyHandle {
    runtime
        .run_any(AnyApplication::from(Clock::bind().into_application()))
        .await
        .expect("it deploys")
}

fn arguments(name: &str, value: &str) -> BTreeMap<String, Vec<String>> {
    BTreeMap::from([(name.to_owned(), vec![value.to_owned()])])
}

async fn outcome(
    clock: &AnyHandle,
    method: &str,
    arguments: &BTreeMap<String, Vec<String>>,
) -> Vec<Result<Value, CallError<String>>> {
    clock.call(method, arguments).expect("such a method").collect().await
}

#[tokio::test(start_paused = true)]
async fn request_timeout_applies() {
    let runtime = MockRuntime::builder().start();
    let clock = clock(&runtime).await;
    let begun = Instant::now();
    let late = outcome(&clock, "wait", &arguments("seconds", "60")).await;
    assert!(matches!(late[..], [Err(CallError::DeadlineExceeded)]), "{late:?}");
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    let left = outcome(&clock, "left", &BTreeMap::new()).await;
    assert!(matches!(&left[..], [Ok(left)] if *left == json!(5)), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_place_is_taken_when_the_call_is_made() {
    let runtime = MockRuntime::builder().start();
    let clock = clock(&runtime).await;
    let wait = || clock.call("wait", &arguments("seconds", "1")).unwrap();
    let (running, queued) = (wait(), wait());
    let refused = wait().next().now_or_never().flatten();
    assert!(matches!(refused, Some(Err(CallError::Overloaded { .. }))), "{refused:?}");
    drop(running);
    drop(queued);
    let again = outcome(&clock, "wait", &arguments("seconds", "1")).await;
    assert!(matches!(again[..], [Ok(_)]), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batched_method_takes_one_item() {
    let runtime = MockRuntime::builder().start();
    let clock = clock(&runtime).await;
    let doubled = outcome(&clock, "double", &arguments("numbers", "21")).await;
    assert!(matches!(&doubled[..], [Ok(value)] if *value == json!(42)), "{doubled:?}");
}

#[tokio::test(start_paused = true)]
async fn call_options_reach_the_method() {
    let runtime = MockRuntime::builder().start();
    let clock = clock(&runtime).await;
    let asking = clock.options(CallOptions::new().multiplexed_model_id("small"));
    let asking = asking.options(CallOptions::new().session_id("dora"));
    let asked_for = outcome(&asking, "asked_for", &BTreeMap::new()).await;
    assert!(
        matches!(&asked_for[..], [Ok(ids)] if *ids == json!(["small", "dora"])),
        "{asked_for:?}"
    );
    let plain = outcome(&clock, "asked_for", &BTreeMap::new()).await;
    assert!(matches!(&plain[..], [Ok(ids)] if *ids == json!([null, null])), "{plain:?}");

    let patient = clock.options(CallOptions::new().timeout(Duration::from_secs(90)));
    let late = outcome(&patient, "wait", &arguments("seconds", "60")).await;
    assert!(matches!(&late[..], [Ok(seconds)] if *seconds == json!(60)), "{late:?}");
}

/// Calls the clock by name, from within a method.
#[deployment]
struct Relay(AnyHandle);

#[handle]
impl Relay {
    fn new(clock: AnyHandle) -> Self {
        Self(clock)
    }

    pub async fn left(&self) -> Option<u64> {
        match &outcome(&self.0, "left", &BTreeMap::new()).await[..] {
            [Ok(left)] => left.as_u64(),
            other => panic!("{other:?}"),
        }
    }

    pub async fn request(&self) -> (String, String, Value) {
        let here = serve_core::context().request_id().to_owned();
        let there = outcome(&self.0, "request", &BTreeMap::new()).await.remove(0);
        let session = outcome(&self.0, "asked_for", &BTreeMap::new()).await.remove(0);
        (here, there.unwrap_or_default().to_string(), session.unwrap_or_default())
    }

    pub async fn wait(&self) -> Vec<String> {
        let outcomes = outcome(&self.0, "wait", &arguments("seconds", "60")).await;
        outcomes.into_iter().map(|outcome| format!("{outcome:?}")).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn retry_methods_run_again() {
    let runtime = MockRuntime::builder().start();
    let clock = clock(&runtime).await;
    let call = clock.call("steady", &arguments("seconds", "1")).expect("such a method");
    let call = tokio::spawn(call.collect::<Vec<_>>());
    sleep(Duration::from_millis(500)).await;
    assert!(runtime.kill_replica::<Clock>(0));
    let outcome = call.await.expect("it does not panic");
    assert!(matches!(&outcome[..], [Ok(seconds)] if *seconds == json!(1)), "{outcome:?}");
    assert_eq!(runtime.calls::<Clock>(), ["steady", "steady"]);
}

/// Its siblings are the calls of typed handles, tasks, actors and routed requests: all of them
/// start in the same function.
#[tokio::test(start_paused = true)]
async fn nested_calls_keep_request_and_deadline() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let clock = clock(&runtime).await;
    let relay = Application::new(Relay::bind(clock.clone())).name("relay");
    let relay = runtime.run(relay).await?;
    let options =
        CallOptions::new().timeout(Duration::from_secs(3)).request_id("seven").session_id("dora");
    let relay = relay.options(options);
    assert_eq!(relay.left().await?, Some(3), "its caller's, and not the deployment's five");
    let (here, there, asked_for) = relay.request().await?;
    assert_eq!((here.as_str(), there.as_str()), ("seven", "\"seven\""));
    assert_eq!(asked_for, json!([null, "dora"]));
    let begun = Instant::now();
    assert_eq!(relay.wait().await, Err(CallError::DeadlineExceeded));
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
    // It was cancelled with its caller: the one slot is free again.
    assert_eq!(outcome(&clock, "left", &BTreeMap::new()).await.len(), 1);
    Ok(())
}

#[test]
fn calls_are_checked_before_deploying() {
    let application = AnyApplication::from(Clock::bind().name("Watch").into_application());
    let problem = |method: &str, arguments: &BTreeMap<String, Vec<String>>| {
        application.check_call(method, arguments).err().map(|error| error.to_string())
    };
    assert_eq!(problem("wait", &arguments("seconds", "1")), None);
    let unknown = problem("wayt", &arguments("seconds", "1")).expect("no such method");
    assert!(unknown.starts_with("`Watch` has no method `wayt`; it has `wait`"), "{unknown}");
    assert_eq!(
        problem("wait", &arguments("minutes", "1")).as_deref(),
        Some("`wait` has no parameter `minutes`; it has `seconds`")
    );
    assert_eq!(
        problem("wait", &arguments("seconds", "one")).as_deref(),
        Some("`seconds`: invalid value `one`, expected an integer that is not negative")
    );
    assert!(problem("wait", &BTreeMap::new()).is_some_and(|it| it.contains("`seconds`")));
}
