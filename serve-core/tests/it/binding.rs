//! The arguments of `bind`, and the deployments that result.

use crate::support::status::{application, deployment};

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serve_core::prelude::*;

#[deployment]
struct Adder {
    by: i64,
    made: Arc<AtomicUsize>,
}

#[handle]
impl Adder {
    fn new(by: i64, made: Arc<AtomicUsize>) -> Self {
        made.fetch_add(1, Ordering::SeqCst);
        Self { by, made }
    }

    pub async fn add(&self, to: i64) -> i64 {
        to + self.by
    }

    pub async fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }

    pub async fn name(&self) -> String {
        let replica = replica_context().expect("a method runs in a replica");
        replica.deployment().to_owned()
    }
}

fn adder(by: i64) -> Bound<Adder> {
    Adder::bind(by, Arc::default())
}

#[deployment]
struct Team {
    title: String,
    list: Vec<AdderHandle>,
    maybe: Option<AdderHandle>,
    by_name: HashMap<String, AdderHandle>,
}

#[handle]
impl Team {
    fn new(
        title: String,
        list: Vec<AdderHandle>,
        maybe: Option<AdderHandle>,
        by_name: HashMap<String, AdderHandle>,
    ) -> Self {
        Self { title, list, maybe, by_name }
    }

    pub async fn run(&self, to: i64) -> Result<(String, Vec<i64>)> {
        let mut names: Vec<_> = self.by_name.keys().collect();
        names.sort();
        let named = names.into_iter().map(|name| &self.by_name[name]);
        let mut results = Vec::new();
        for adder in self.list.iter().chain(&self.maybe).chain(named) {
            results.push(adder.add(to).await?);
        }
        Ok((self.title.clone(), results))
    }
}

#[tokio::test(start_paused = true)]
async fn containers_of_bounds_become_containers_of_handles() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let by_name = HashMap::from([("b".to_owned(), adder(5)), ("a".to_owned(), adder(4))]);
    let team =
        runtime.run(Team::bind("team", vec![adder(1), adder(2)], Some(adder(3)), by_name)).await?;
    assert_eq!(team.run(10).await?, ("team".to_owned(), vec![11, 12, 13, 14, 15]));
    let many = [adder(6), adder(7), adder(8)];
    let title = String::from("of an array");
    let team = runtime.run(Team::bind(title, many, nobody(), no_names())).await?;
    assert_eq!(team.run(10).await?, ("of an array".to_owned(), vec![16, 17, 18]));
    Ok(())
}

/// No deployment, but the type of one.
fn nobody() -> Option<Bound<Adder>> {
    None
}

fn no_names() -> HashMap<String, Bound<Adder>> {
    HashMap::new()
}

#[deployment]
struct Plain(Option<String>, Vec<u8>, HashMap<String, i64>);

#[handle]
impl Plain {
    fn new(title: Option<String>, list: Vec<u8>, by_name: HashMap<String, i64>) -> Self {
        Self(title, list, by_name)
    }

    pub async fn all(&self) -> (Option<String>, Vec<u8>, HashMap<String, i64>) {
        (self.0.clone(), self.1.clone(), self.2.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn empty_plain_values_need_no_type_annotation() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let plain = runtime.run(Plain::bind(None, vec![], HashMap::new())).await?;
    assert_eq!(plain.all().await?, (None, vec![], HashMap::new()));
    let some = Some("team".to_owned());
    let plain = runtime.run(Plain::bind(some.clone(), [1, 2].to_vec(), HashMap::new())).await?;
    assert_eq!(plain.all().await?, (some, vec![1, 2], HashMap::new()));
    Ok(())
}

#[deployment]
struct Pair {
    one: AdderHandle,
    two: AdderHandle,
}

#[handle]
impl Pair {
    fn new(one: AdderHandle, two: AdderHandle) -> Self {
        Self { one, two }
    }

    pub async fn made(&self) -> Result<(usize, usize)> {
        Ok((self.one.made().await?, self.two.made().await?))
    }

    pub async fn names(&self) -> Result<(String, String)> {
        // A method that is called like one of the framework's is the user's own.
        Ok((self.one.name().await?, self.two.name().await?))
    }
}

fn names(runtime: &Runtime) -> Vec<String> {
    application(runtime).deployments.keys().cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn a_shared_bound_is_one_deployment() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let shared = adder(1);
    let pair = runtime.run(Pair::bind(shared.clone(), shared)).await?;
    assert_eq!(pair.made().await?, (1, 1));
    assert_eq!(names(&runtime), ["Adder", "Pair"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn equal_names_are_numbered() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let pair = runtime.run(Pair::bind(adder(1), adder(2))).await?;
    // As in Ray Serve: the first that is reached keeps the plain name.
    assert_eq!(pair.names().await?, ("Adder".to_owned(), "Adder_1".to_owned()));
    let three = [adder(1), adder(2), adder(3)];
    runtime.run(Team::bind("three", three, nobody(), no_names())).await?;
    assert_eq!(names(&runtime), ["Adder", "Adder_1", "Adder_2", "Team"]);
    for (name, expected) in [("Adder", 11), ("Adder_1", 12), ("Adder_2", 13)] {
        let adder = runtime.get_deployment_handle::<Adder>("default", name)?;
        assert_eq!(adder.add(10).await?, expected, "{name}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn explicit_names_are_kept_and_unique() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let pair = runtime.run(Pair::bind(adder(1), adder(2).name("Adder"))).await?;
    assert_eq!(pair.names().await?, ("Adder_1".to_owned(), "Adder".to_owned()));
    let twice = Pair::bind(adder(1).name("es"), adder(2).name("es"));
    let refused = runtime.run(twice).await.unwrap_err().to_string();
    assert!(refused.contains("`es`") && refused.contains(".name("), "{refused}");
    for name in ["", "a#b"] {
        let refused = runtime.run(adder(1).name(name)).await.unwrap_err().to_string();
        assert!(refused.contains("name"), "{refused}");
    }
    // What was refused changed nothing.
    assert_eq!(pair.names().await?, ("Adder_1".to_owned(), "Adder".to_owned()));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn options_are_set_on_the_bound() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let made = Arc::<AtomicUsize>::default();
    let bound = Adder::bind(1, Arc::clone(&made)).num_replicas(5).name("es");
    let adder = runtime.run(bound).await?;
    // The constructor's argument is cloned for each replica.
    assert_eq!(adder.made().await?, 5);
    let status = deployment(&runtime, "es");
    assert_eq!((status.target_num_replicas, status.replicas.len()), (5, 5));
    for refused in
        [Adder::bind(1, made.clone()).num_replicas(0), Adder::bind(1, made).max_ongoing_requests(0)]
    {
        assert!(runtime.run(refused).await.is_err());
    }
    Ok(())
}

#[deployment(name = "es", num_replicas = 3, num_cpus = 0.5)]
#[derive(Default)]
struct Spanish;

#[handle]
impl Spanish {
    pub async fn say_hello(&self, name: String) -> String {
        format!("Hola {name}")
    }
}

#[deployment]
struct Later(String);

#[handle]
impl Later {
    async fn new(spanish: SpanishHandle, name: String) -> Result<Self> {
        // A constructor may call what it was bound to.
        Ok(Self(spanish.say_hello(name).await?))
    }

    pub fn greeting(&self) -> String {
        self.0.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn constructors_may_be_absent_async_or_fallible() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let later = runtime.run(Later::bind(Spanish::bind(), "Dora")).await?;
    assert_eq!(later.greeting().await?, "Hola Dora");
    assert_eq!(names(&runtime), ["Later", "es"]);
    // Without any runtime it stays a plain struct.
    assert_eq!(Spanish.say_hello("Dora".into()).await, "Hola Dora");
    Ok(())
}
