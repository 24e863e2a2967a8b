//! Generated code has no warnings under the lints of a careful crate.
#![cfg(feature = "http")]
#![deny(
    missing_docs,
    missing_debug_implementations,
    non_camel_case_types,
    non_local_definitions,
    non_snake_case,
    rust_2018_idioms,
    unreachable_pub,
    unused,
    clippy::all,
    clippy::pedantic
)]

use crate::support::runtimes;

use serve_core::prelude::*;

pub(crate) mod shop {
    //! A deployment in a module, used from outside.

    use std::sync::Arc;

    use serve_core::prelude::*;

    /// A price.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub(crate) struct Price(pub(crate) u64);

    /// Sells things.
    #[deployment(num_cpus = 1)]
    #[derive(Debug)]
    pub(crate) struct Shop {
        stock: Vec<String>,
    }

    #[expect(unreachable_pub, reason = "what is public is on the handle")]
    #[handle]
    impl Shop {
        pub fn new(stock: Vec<String>) -> Self {
            Self { stock }
        }

        /// What a thing costs.
        ///
        /// Always its length.
        #[get("/price/{thing}")]
        pub async fn price(&self, thing: String) -> Result<Price> {
            std::future::ready(()).await;
            if self.stock.contains(&thing) {
                Ok(Price(thing.len() as u64))
            } else {
                Err(Error::msg("sold out").with_status(404))
            }
        }

        /// Talks about a thing.
        #[websocket("/talk/{thing}")]
        async fn talk(&self, thing: String, socket: WebSocket<String>) -> Result<()> {
            socket.send(thing).await?;
            Ok(())
        }

        /// All things, one by one.
        pub fn list(&self) -> impl Stream<Item = String> {
            serve_core::futures::stream::iter(self.stock.clone())
        }

        /// How much there is.
        #[blocking]
        pub fn count(&self) -> usize {
            self.stock.len()
        }

        /// How long a name is: what is called owns its arguments, and is a method.
        pub fn length(&self, name: String) -> usize {
            name.len()
        }

        /// The old name of `count`.
        #[deprecated = "use `count`"]
        #[must_use]
        pub fn size(&self) -> usize {
            self.stock.len()
        }

        #[routes]
        pub fn routes(self: Arc<Self>) -> serve_core::axum::Router {
            let _ = self;
            serve_core::axum::Router::new()
        }

        #[shutdown]
        async fn close(&self) {
            std::future::ready(()).await;
        }
    }
}

use shop::{Price, Shop, ShopHandle};

/// Nothing of it is called.
#[deployment]
#[derive(Default, Debug)]
struct Idle;

#[handle]
impl Idle {}

/// A shop with two things.
#[application]
fn two_things() -> Application<Shop> {
    Shop::bind(vec!["apple".to_owned(), "pear".to_owned()]).into()
}

/// Twice the price.
#[task]
async fn twice(price: Price) -> Price {
    std::future::ready(()).await;
    Price(price.0 * 2)
}

async fn visit(shop: &ShopHandle) -> Result<Price> {
    Ok(twice::remote(shop.price("apple")).await?)
}

#[tokio::test(start_paused = true)]
async fn generated_code_has_no_warnings() -> Result<()> {
    let runtime = runtimes::by_environment().await?;
    let shop = runtime.run(two_things()).await?;
    assert_eq!(visit(&shop).await?, Price(10));
    assert_eq!(shop.count().await?, 2);
    assert_eq!(shop.list().try_collect::<Vec<_>>().await?, ["apple", "pear"]);
    drop(runtime.run(Application::from(Idle::bind()).name("idle")).await?);
    Ok(())
}
