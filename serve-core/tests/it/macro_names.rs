//! Names and types that users may choose: methods named like those of the framework, raw identifiers,
//! `Self`, aliases of `Result`, and deployments in any module or body.

use crate::support::runtimes;

use std::collections::HashMap;

use serve_core::prelude::*;

/// Its methods are called like those of mocks, std traits and generated code.
#[deployment(name = "chosen")]
struct Framework;

#[handle]
impl Framework {
    fn new() -> Self {
        Self
    }

    pub async fn name(&self) -> String {
        "mine".to_owned()
    }

    pub async fn handle(&self) -> u8 {
        2
    }

    pub async fn mock(&self) -> u8 {
        3
    }

    pub async fn named(&self, name: String) -> String {
        name
    }

    pub async fn connect(&self) -> u8 {
        4
    }

    pub async fn default(&self) -> u8 {
        5
    }

    pub async fn run(&self) -> u8 {
        6
    }

    pub async fn r#loop(&self, r#type: u8) -> u8 {
        r#type
    }
}

#[tokio::test(start_paused = true)]
async fn methods_may_have_names_that_no_handle_has() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let handle = runtime.run(Framework::bind()).await?;
    assert_eq!(handle.name().await?, "mine");
    assert_eq!(handle.handle().await?, 2);
    assert_eq!(handle.mock().await?, 3);
    assert_eq!(handle.named("y").await?, "y");
    assert_eq!(handle.connect().await?, 4);
    assert_eq!(handle.default().await?, 5);
    assert_eq!(handle.run().await?, 6);
    assert_eq!(handle.r#loop(8).await?, 8);
    assert_eq!(handle.deployment_name(), "chosen");
    assert_eq!(handle.options(CallOptions::new()).clone().handle().await?, 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn mocks_accept_all_names() -> Result<()> {
    let mock = FrameworkMock::new()
        .mock_named(|name: String| async move { name + "!" })
        .default(|| async { 50 })
        .r#loop(|r#type: u8| async move { r#type + 1 });
    let runtime = MockRuntime::builder().mock(mock).start();
    let handle = runtime.run(Framework::bind()).await?;
    assert_eq!(handle.named("y").await?, "y!");
    assert_eq!(handle.default().await?, 50);
    assert_eq!(handle.r#loop(1).await?, 2);
    assert_eq!(runtime.calls::<Framework>(), ["named", "default", "loop"]);
    Ok(())
}

/// It travels itself.
#[deployment]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i64,
}

impl Point {
    const AXES: usize = 2;
}

#[handle]
impl Point {
    pub fn new(x: i64) -> Self {
        Self { x }
    }

    pub async fn itself(&self) -> Self {
        self.clone()
    }

    pub async fn sum(&self, points: Vec<Self>, by_name: HashMap<String, Self>) -> Option<Self> {
        let all = points.iter().chain(by_name.values());
        Some(Self { x: self.x + all.map(|point| point.x).sum::<i64>() })
    }

    pub async fn axes(&self, of: [i64; Self::AXES]) -> Result<(Self, Self), String> {
        Ok((Self { x: of[0] }, Self { x: of[1] }))
    }

    pub fn all(&self) -> impl Stream<Item = Result<Self, String>> {
        futures::stream::iter([Ok(self.clone())])
    }
}

#[tokio::test(start_paused = true)]
async fn self_in_a_signature_is_the_deployment() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let point = runtime.run(Point::bind(1)).await?;
    assert_eq!(point.itself().await?, Point::new(1));
    let named = HashMap::from([("a".to_owned(), Point::new(3))]);
    assert_eq!(point.sum(vec![Point::new(2)], named).await?, Some(Point::new(6)));
    assert_eq!(point.axes([1, 2]).await?, (Point::new(1), Point::new(2)));
    assert_eq!(point.all().try_collect::<Vec<_>>().await?, [Point::new(1)]);
    Ok(())
}

mod aliases {
    pub(crate) mod strings {
        pub(crate) type Result<T> = std::result::Result<T, String>;
    }
    pub(crate) mod whole {
        pub(crate) type Result = std::result::Result<u8, String>;
    }
}

#[deployment]
#[derive(Default)]
struct Failing;

#[handle]
impl Failing {
    pub async fn ours(&self) -> Result<u8> {
        Err(Error::msg("ours"))
    }

    pub async fn two(&self) -> Result<u8, String> {
        Err("two".to_owned())
    }

    pub async fn one(&self) -> aliases::strings::Result<u8> {
        Err("one".to_owned())
    }

    pub async fn none(&self) -> aliases::whole::Result {
        Err("none".to_owned())
    }

    pub fn items(&self) -> impl Stream<Item = aliases::strings::Result<u8>> {
        futures::stream::iter([Ok(1), Err("items".to_owned())])
    }

    pub async fn outer(&self, fail: bool) -> aliases::strings::Result<impl Stream<Item = u8>> {
        if fail { Err("outer".to_owned()) } else { Ok(futures::stream::iter([1])) }
    }
}

#[tokio::test(start_paused = true)]
async fn result_aliases_are_recognized() -> Result<()> {
    fn app<T, E>(result: Result<T, CallError<E>>) -> Option<E> {
        match result {
            Err(CallError::App(error)) => Some(error),
            _ => None,
        }
    }
    let runtime = runtimes::by_environment().await?;
    let failing = runtime.run(Failing::bind()).await?;
    assert_eq!(app(failing.ours().await).map(|error| error.to_string()), Some("ours".to_owned()));
    assert_eq!(app(failing.two().await), Some("two".to_owned()));
    assert_eq!(app(failing.one().await), Some("one".to_owned()));
    assert_eq!(app(failing.none().await), Some("none".to_owned()));
    let mut items = failing.items();
    assert_eq!(items.next().await, Some(Ok(1)));
    assert_eq!(items.next().await.and_then(app), Some("items".to_owned()));
    assert_eq!(failing.outer(false).try_collect::<Vec<_>>().await.ok(), Some(vec![1]));
    assert_eq!(failing.outer(true).next().await.and_then(app), Some("outer".to_owned()));
    Ok(())
}

mod private {
    use serve_core::prelude::*;

    #[deployment]
    #[derive(Default)]
    pub(crate) struct Inside;

    // In a module of its own, below the struct's.
    mod methods {
        use serve_core::prelude::*;

        #[handle]
        impl super::Inside {
            pub async fn one(&self) -> u8 {
                self.secret()
            }

            fn secret(&self) -> u8 {
                1
            }
        }
    }
}

struct Caller(private::InsideHandle);

#[tokio::test(start_paused = true)]
async fn deployments_may_be_in_modules_and_bodies() -> Result<()> {
    #[deployment]
    struct Local(private::InsideHandle);

    #[handle]
    impl Local {
        fn new(inside: private::InsideHandle) -> Self {
            Self(inside)
        }

        pub async fn two(&self) -> Result<u8> {
            Ok(self.0.one().await? * 2)
        }
    }

    let inside = private::Inside::bind();
    let runtime = runtimes::by_environment().await?;
    let local = runtime.run(Local::bind(inside.clone())).await?;
    assert_eq!(local.two().await?, 2);
    let caller = Caller(runtime.run(Application::from(inside).name("other")).await?);
    assert_eq!(caller.0.one().await?, 1);
    let mock = private::InsideMock::new().one(|| async { 5 });
    let runtime = MockRuntime::builder().mock(mock).start();
    let local = runtime.run(Local::bind(private::Inside::bind())).await?;
    assert_eq!(local.two().await?, 10);
    Ok(())
}
