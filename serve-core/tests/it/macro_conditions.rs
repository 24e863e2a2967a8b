//! Items that a `cfg` removes leave nothing behind: not in the handle, the mock, the endpoints or the
//! way calls run.
#![cfg(feature = "http")]

use crate::support::runtimes;

use std::sync::Arc;

use serve_core::prelude::*;

#[deployment]
struct Sparse {
    start: u64,
}

#[handle]
impl Sparse {
    #[cfg(any())]
    pub fn new(nothing: Nothing) -> Nothing {
        nothing
    }

    #[cfg(test)]
    pub fn new(start: u64) -> Self {
        Self { start }
    }

    pub async fn start(&self) -> u64 {
        self.start
    }

    #[cfg(test)]
    pub async fn there(&self) -> u64 {
        self.start + 1
    }

    #[cfg(any())]
    pub async fn there(&self, nothing: Nothing) -> Nothing {
        nothing
    }

    #[cfg(any())]
    pub async fn absent(&self, nothing: Nothing) -> Nothing {
        nothing
    }

    #[cfg_attr(all(), cfg(any()))]
    pub async fn also_absent(&mut self, nothing: &Nothing, (a, b): Pair) -> Nothing {
        nothing
    }

    #[cfg(any())]
    #[post("/{nowhere}")]
    pub async fn endpoint(&self, nothing: Nothing) -> Nothing {
        nothing
    }

    #[cfg(any())]
    pub fn stream(&self) -> impl Stream<Item = Nothing> {
        nothing
    }

    #[cfg(any())]
    #[blocking]
    pub fn crunch(&self) -> Nothing {
        nothing
    }

    #[cfg(any())]
    #[shutdown]
    pub async fn shutdown(&mut self, nothing: Nothing) {}

    #[cfg(any())]
    #[routes]
    pub fn routes(self: Arc<Self>) -> Nothing {
        nothing
    }

    #[cfg(any())]
    #[unknown_attribute]
    pub async fn generic<T>(&self, value: T) -> T {
        value
    }
}

#[cfg(any())]
#[deployment(local)]
struct Absent<T>(T);

#[tokio::test(start_paused = true)]
async fn an_absent_method_leaves_nothing() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let sparse = runtime.run(Sparse::bind(1)).await?;
    assert_eq!(sparse.start().await?, 1);
    assert_eq!(sparse.there().await?, 2);
    let methods: Vec<_> = <Sparse as serve_core::__private::Handlers>::methods()
        .iter()
        .map(|method| method.info().name)
        .collect();
    assert_eq!(methods, ["start", "there"]);
    Ok(())
}

#[deployment]
struct Exclusive(Arc<std::sync::atomic::AtomicUsize>);

#[handle]
impl Exclusive {
    #[cfg(test)]
    pub async fn alone(&mut self) -> usize {
        use std::sync::atomic::Ordering::SeqCst;
        let others = self.0.fetch_add(1, SeqCst);
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        self.0.fetch_sub(1, SeqCst);
        others
    }

    fn new() -> Self {
        Self(Arc::default())
    }
}

#[tokio::test(start_paused = true)]
async fn a_present_mut_self_method_serializes_calls() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let exclusive = runtime.run(Exclusive::bind()).await?;
    let (one, two) = (exclusive.alone(), exclusive.alone());
    assert_eq!((one.await?, two.await?), (0, 0));
    Ok(())
}

#[test]
fn an_absent_mut_self_method_has_no_effect() {
    fn concurrent<D: serve_core::__private::Handlers>() -> bool {
        std::any::type_name::<D::Cell>().contains("Shared")
    }
    assert!(concurrent::<Sparse>());
    assert!(!concurrent::<Exclusive>());
}

#[tokio::test(start_paused = true)]
async fn mocks_have_the_present_methods() -> Result<()> {
    let mock = SparseMock::new().there(|| async { 7 });
    let runtime = MockRuntime::builder().mock(mock).start();
    let sparse = runtime.run(Sparse::bind(1)).await?;
    assert_eq!(sparse.there().await?, 7);
    Ok(())
}
