//! Calls that pass their results on, carry a deadline and cancel other calls.

use crate::support::events::Events;
use crate::support::runtimes;

use std::time::Duration;

use serve_core::prelude::*;
use serve_core::task;
use tokio::time::sleep;

#[deployment]
struct Leaf(Events);

#[handle]
impl Leaf {
    fn new(events: Events) -> Self {
        Self(events)
    }

    pub async fn add(&self, a: i64, b: i64) -> i64 {
        self.0.note(format!("add {a} {b}"));
        a + b
    }

    pub async fn forever(&self) {
        let _note = self.0.note_on_drop("leaf dropped");
        self.0.note("leaf started");
        std::future::pending::<()>().await;
    }

    pub async fn remaining(&self) -> Option<Duration> {
        context().remaining()
    }

    pub async fn request_id(&self) -> String {
        context().request_id().to_owned()
    }

    pub async fn fail(&self, status: u16) -> Result<i64> {
        Err(Error::msg("no such paper").with_status(status))
    }
}

#[deployment]
struct Middle {
    leaf: LeafHandle,
    events: Events,
}

#[handle]
impl Middle {
    fn new(leaf: LeafHandle, events: Events) -> Self {
        Self { leaf, events }
    }

    pub async fn forever(&self) -> Result<()> {
        let _note = self.events.note_on_drop("middle dropped");
        Ok(self.leaf.forever().await?)
    }

    pub async fn remaining(&self) -> Result<Option<Duration>> {
        sleep(Duration::from_secs(1)).await;
        Ok(self.leaf.remaining().await?)
    }

    pub async fn request_ids(&self) -> Result<(String, String)> {
        Ok((context().request_id().to_owned(), self.leaf.request_id().await?))
    }

    pub async fn fail(&self, status: u16) -> Result<i64> {
        Ok(self.leaf.fail(status).await?)
    }
}

#[deployment]
struct Top {
    middle: MiddleHandle,
}

#[handle]
impl Top {
    fn new(middle: MiddleHandle) -> Self {
        Self { middle }
    }

    pub async fn remaining(&self) -> Result<Option<Duration>> {
        sleep(Duration::from_secs(1)).await;
        Ok(self.middle.remaining().await?)
    }
}

#[tokio::test(start_paused = true)]
async fn unawaited_responses_are_arguments() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let leaf = runtime.run(Leaf::bind(Events::default())).await?;
    assert_eq!(leaf.add(leaf.add(1, 2), leaf.add(3, 4)).await?, 10);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn one_response_feeds_two_calls() -> Result<()> {
    let events = Events::default();
    let runtime = runtimes::by_environment().await?;
    let leaf = runtime.run(Leaf::bind(events.clone())).await?;
    let five = leaf.add(2, 3).object_ref();
    let (a, b) = (leaf.add(five.clone(), 10), leaf.add(&five, 20));
    assert_eq!((a.await?, b.await?, *five.get().await?), (15, 25, 5));
    assert_eq!(events.seen().iter().filter(|event| *event == "add 2 3").count(), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn upstream_failures_name_both_deployments() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let leaf = runtime.run(Leaf::bind(Events::default())).await?;
    let error = leaf.add(leaf.fail(404), 1).await.unwrap_err();
    let CallError::Upstream(upstream) = &error else { panic!("{error:?}") };
    assert_eq!(upstream.producer(), "Leaf.fail");
    assert_eq!(upstream.consumer(), Some("Leaf.add"));
    assert!(error.to_string().contains("no such paper"), "{error}");
    assert!(!error.may_have_run());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn dropping_a_response_cancels_the_call_tree() -> Result<()> {
    let events = Events::default();
    let runtime = runtimes::by_environment().await?;
    let middle = runtime.run(Middle::bind(Leaf::bind(events.clone()), events.clone())).await?;
    let call = middle.forever();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(events.seen(), ["leaf started"]);
    drop(call);
    sleep(Duration::from_millis(1)).await;
    let mut dropped = events.seen()[1..].to_vec();
    dropped.sort();
    assert_eq!(dropped, ["leaf dropped", "middle dropped"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn detached_calls_ignore_the_callers_deadline() -> Result<()> {
    let events = Events::default();
    let runtime = runtimes::by_environment().await?;
    let leaf = runtime.run(Leaf::bind(events.clone())).await?;
    leaf.forever().detach();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(events.seen(), ["leaf started"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn deadlines_propagate_over_three_hops() -> Result<()> {
    let events = Events::default();
    let runtime = runtimes::by_environment().await?;
    let middle = Middle::bind(Leaf::bind(events.clone()), events.clone());
    let top = runtime.run(Top::bind(middle)).await?;
    let hurried = top.options(CallOptions::new().timeout(Duration::from_secs(5)));
    let left = hurried.remaining().await?.expect("the deadline travels");
    assert!(left <= Duration::from_secs(3) && left > Duration::from_millis(2900), "{left:?}");
    let late = top.options(CallOptions::new().timeout(Duration::from_millis(1500)));
    assert!(matches!(late.remaining().await, Err(CallError::DeadlineExceeded)));
    assert_eq!(top.remaining().await?, None);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn calls_share_the_request_id() -> Result<()> {
    let events = Events::default();
    let runtime = runtimes::by_environment().await?;
    let middle = runtime.run(Middle::bind(Leaf::bind(events.clone()), events)).await?;
    let call = middle.request_ids();
    let id = call.request_id();
    assert_eq!(call.await?, (id.clone(), id.clone()));
    let (other, _) = middle.request_ids().await?;
    assert_ne!(other, id);
    let mine = middle.options(CallOptions::new().request_id("mine"));
    assert_eq!(mine.request_ids().await?, ("mine".to_owned(), "mine".to_owned()));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_callees_status_is_not_passed_on() -> Result<()> {
    let events = Events::default();
    let runtime = runtimes::by_environment().await?;
    let middle = runtime.run(Middle::bind(Leaf::bind(events.clone()), events)).await?;
    let CallError::App(error) = middle.fail(404).await.unwrap_err() else { panic!("not its own") };
    assert_eq!(error.status(), None);
    assert_eq!(error.to_string(), "no such paper");
    Ok(())
}

#[tokio::test]
async fn handles_work_on_threads_without_tokio() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let leaf = runtime.run(Leaf::bind(Events::default())).await?;
    assert_eq!(leaf.add(1, 1).result(), Err(CallError::BlockingInAsync));
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let sum = leaf.add(leaf.add(1, 2), 3).result();
        let late = leaf.forever().result_timeout(Duration::from_millis(1));
        let _ = done.send((sum, late));
    });
    let (sum, late) = result.await?;
    assert_eq!(sum, Ok(6));
    assert_eq!(late, Err(CallError::DeadlineExceeded));
    Ok(())
}

#[task]
async fn shout(text: String) -> String {
    text.to_uppercase()
}

#[tokio::test]
async fn tasks_compose_with_calls() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let leaf = runtime.run(Leaf::bind(Events::default())).await?;
    let mine = leaf.options(CallOptions::new().request_id("mine"));
    assert_eq!(shout::remote(mine.request_id()).await?, "MINE");
    assert_eq!(shout::remote(shout::remote("twice").object_ref()).await?, "TWICE");
    Ok(())
}
