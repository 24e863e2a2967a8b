//! The runtime as a library: running, looking up, replacing and deleting applications.

use crate::support::events::{Events, NoteOnDrop};
use crate::support::runtimes;

use std::sync::Arc;
use std::time::Duration;

use serve_core::DeployError;
use serve_core::prelude::*;
use serve_core::status::{ApplicationStatus, DeploymentStatus, ReplicaState};
use tokio::time::sleep;

#[deployment]
struct Leaf {
    number: u32,
    _note: NoteOnDrop,
}

#[handle]
impl Leaf {
    fn new(events: Events, number: u32) -> Self {
        Self { number, _note: events.note_on_drop("leaf dropped") }
    }

    pub async fn number(&self) -> u32 {
        self.number
    }
}

#[deployment]
struct Top {
    leaf: LeafHandle,
    _note: NoteOnDrop,
}

#[handle]
impl Top {
    fn new(leaf: LeafHandle, events: Events) -> Self {
        Self { leaf, _note: events.note_on_drop("top dropped") }
    }

    pub async fn number(&self) -> Result<u32> {
        Ok(self.leaf.number().await?)
    }
}

/// Long enough for everything that was dropped to end.
const A_MINUTE: Duration = Duration::from_secs(60);

fn top(events: &Events, number: u32) -> Bound<Top> {
    Top::bind(Leaf::bind(Arc::clone(events), number), Arc::clone(events))
}

#[tokio::test(start_paused = true)]
async fn run_returns_a_typed_handle() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let events = Events::default();
    let by_default: TopHandle = runtime.run(top(&events, 1)).await?;
    let math = Application::new(top(&events, 2)).name("math").route_prefix("/math");
    let math: TopHandle = runtime.run(math).await?;
    assert_eq!((by_default.number().await?, math.number().await?), (1, 2));
    #[cfg(feature = "http")]
    assert_eq!(runtime.http_address(), None, "no port is opened unless it is asked for");

    let status = runtime.status();
    assert_eq!(status.applications.keys().collect::<Vec<_>>(), ["default", "math"]);
    let default = &status.applications["default"];
    assert_eq!(default.status, ApplicationStatus::Running);
    assert_eq!(default.route_prefix.as_deref(), Some("/"));
    assert_eq!(status.applications["math"].route_prefix.as_deref(), Some("/math"));
    let leaf = &default.deployments["Leaf"];
    assert_eq!(
        (leaf.status, leaf.replicas[0].state),
        (DeploymentStatus::Healthy, ReplicaState::Running)
    );
    let json = serde_json::to_value(&status)?;
    assert_eq!(json["applications"]["math"]["status"], "RUNNING");
    assert_eq!(json["applications"]["math"]["deployments"]["Top"]["status"], "HEALTHY");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn handle_lookups_check_the_type() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let _top = runtime.run(top(&Events::default(), 7)).await?;
    assert_eq!(runtime.get_app_handle::<Top>("default")?.number().await?, 7);
    assert_eq!(runtime.get_deployment_handle::<Leaf>("default", "Leaf")?.number().await?, 7);
    let rows: [(DeployError, &[&str]); 5] = [
        (runtime.get_app_handle::<Leaf>("default").unwrap_err(), &["`Top`", "Leaf"]),
        (runtime.get_app_handle::<Top>("other").unwrap_err(), &["`other`"]),
        (runtime.get_deployment_handle::<Top>("default", "Leaf").unwrap_err(), &["`Leaf`", "Top"]),
        (runtime.get_deployment_handle::<Leaf>("default", "Twig").unwrap_err(), &["`Twig`"]),
        (runtime.get_deployment_handle::<Leaf>("other", "Leaf").unwrap_err(), &["`other`"]),
    ];
    for (error, words) in rows {
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn old_handles_follow_a_redeploy() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let events = Events::default();
    let old = runtime.run(top(&events, 1)).await?;
    let old_leaf = runtime.get_deployment_handle::<Leaf>("default", "Leaf")?;
    let new = runtime.run(top(&events, 2)).await?;
    assert_eq!((old.number().await?, new.number().await?, old_leaf.number().await?), (2, 2, 2));
    sleep(A_MINUTE).await;
    let mut dropped = events.take();
    dropped.sort();
    assert_eq!(dropped, ["leaf dropped"], "the version before is gone, and `Top` is the same");

    // `Leaf` is the ingress now, under the name that `Top` had.
    runtime.run(Leaf::bind(Arc::clone(&events), 3).name("Top")).await?;
    for gone in [old.number().await.unwrap_err(), new.number().await.unwrap_err()] {
        let CallError::Unavailable { deployment, started, .. } = gone else { panic!("{gone:?}") };
        assert_eq!((deployment.as_str(), started), ("Top", false));
    }
    assert!(matches!(old_leaf.number().await, Err(CallError::Unavailable { started: false, .. })));
    assert_eq!(runtime.get_app_handle::<Leaf>("default")?.number().await?, 3);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn handles_keep_an_application_alive() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let events = Events::default();
    let handle = runtime.run(top(&events, 1)).await?;
    let other = runtime.get_deployment_handle::<Leaf>("default", "Leaf")?;
    drop(runtime.clone());
    drop(runtime);
    sleep(A_MINUTE).await;
    assert_eq!(handle.number().await?, 1);
    // A clone, and one with options, keeps as much alive as the handle itself.
    let last = handle.clone().options(CallOptions::new().session_id("dora"));
    drop((handle, other));
    sleep(A_MINUTE).await;
    assert_eq!(last.number().await?, 1);
    assert_eq!(events.seen(), [""; 0]);
    drop(last);
    sleep(A_MINUTE).await;
    // The handle inside the graph keeps nothing alive. Callers go before callees.
    assert_eq!(events.seen(), ["top dropped", "leaf dropped"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn delete_and_shutdown_remove_applications() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let events = Events::default();
    let handle = runtime.run(Application::new(top(&events, 1)).name("math")).await?;
    let kept = runtime.run(Leaf::bind(Events::default(), 5)).await?;
    runtime.delete("math").await?;
    assert_eq!(events.seen(), ["top dropped", "leaf dropped"]);
    let gone = handle.number().await.unwrap_err();
    assert!(matches!(gone, CallError::Unavailable { started: false, .. }), "{gone:?}");
    assert!(gone.is_retryable() && !gone.may_have_run());
    assert!(!runtime.status().applications.contains_key("math"));
    assert!(
        matches!(runtime.delete("math").await, Err(DeployError::UnknownApplication(name)) if name == "math")
    );
    assert_eq!(kept.number().await?, 5);
    runtime.shutdown().await;
    assert!(runtime.status().applications.is_empty());
    assert!(kept.number().await.is_err());
    // A second time changes nothing.
    runtime.shutdown().await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_actor_ends_with_its_handle() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let events = Events::default();
    let actor = runtime.actor(Leaf::bind(Arc::clone(&events), 9)).await?;
    let other = runtime.actor(Leaf::bind(Events::default(), 8)).await?;
    assert_eq!((actor.number().await?, other.number().await?), (9, 8));
    assert!(runtime.status().applications.is_empty());
    let clone = actor.clone();
    drop(actor);
    sleep(A_MINUTE).await;
    assert_eq!(clone.number().await?, 9);
    drop(clone);
    sleep(A_MINUTE).await;
    assert_eq!(events.seen(), ["leaf dropped"]);
    Ok(())
}

#[cfg(feature = "http")]
mod routed {
    use super::*;

    #[deployment]
    struct Site(String);

    #[handle]
    impl Site {
        fn new(name: String) -> Self {
            Self(name)
        }

        #[get("/")]
        pub async fn name(&self) -> String {
            self.0.clone()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn applications_without_endpoints_claim_no_route() -> Result<()> {
        let runtime = MockRuntime::builder().start();
        let events = Events::default();
        runtime.run(Application::new(top(&events, 1)).name("one")).await?;
        runtime.run(Application::new(top(&events, 2)).name("two")).await?;
        let site = |name: &str| Application::new(Site::bind(name)).name(name);
        runtime.run(site("site")).await?;
        assert_eq!(runtime.http().get("/").await?.text().await?, "site");
        // Nor does one that says so.
        runtime.run(site("silent").without_route()).await?;
        let taken = runtime.run(site("other")).await.unwrap_err().to_string();
        for word in ["`/`", "`other`", "`site`", ".route_prefix("] {
            assert!(taken.contains(word), "{taken}");
        }
        // A refused deploy changes nothing, and the prefix is free once its owner is gone.
        assert!(!runtime.status().applications.contains_key("other"));
        runtime.delete("site").await?;
        runtime.run(site("other")).await?;
        assert_eq!(runtime.http().get("/").await?.text().await?, "other");
        for bad in ["x", "/x/", "", "/{x}"] {
            assert!(runtime.run(site("bad").route_prefix(bad)).await.is_err(), "{bad:?}");
        }
        Ok(())
    }
}
