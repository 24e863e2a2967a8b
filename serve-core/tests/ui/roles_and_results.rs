use std::pin::Pin;
use std::sync::Arc;

use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Mixed;

#[handle]
impl Mixed {
    pub fn new(&self) -> Self {
        Self
    }

    pub fn future(&self) -> impl Future<Output = u64> {
        std::future::ready(1)
    }

    pub fn boxed(&self) -> Pin<Box<dyn Stream<Item = u64> + Send>> {
        Box::pin(futures::stream::empty())
    }

    pub async fn shared(self: Arc<Self>) -> u64 {
        1
    }

    #[get("/all", body = all)]
    pub async fn body_of_get(&self, all: u64) -> u64 {
        all
    }

    #[delete("/all", max_body = "1MiB")]
    pub async fn limit_of_delete(&self) {}

    #[post("/all/{all}", body = all)]
    pub async fn path_and_body(&self, all: u64) -> u64 {
        all
    }

    #[put("/all", body = all, body = more)]
    pub async fn two_bodies(&self, all: u64, more: u64) -> u64 {
        all + more
    }

    #[post]
    pub async fn no_path(&self) {}

    #[get("/both")]
    #[post("/both")]
    pub async fn two_verbs(&self) {}

    pub async fn exclusive(&mut self) {}

    #[routes]
    pub fn routes(self: Arc<Self>) -> serve_core::axum::Router {
        serve_core::axum::Router::new()
    }
}

fn main() {}
