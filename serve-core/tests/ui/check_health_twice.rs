use std::sync::Arc;

use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[check_health]
    async fn model_is_there(&self) {}

    #[check_health]
    async fn disk_is_there(&self) {}

    #[routes]
    pub fn routes(self: Arc<Self>) -> serve_core::axum::Router {
        serve_core::axum::Router::new()
    }

    #[routes]
    pub fn others(self: Arc<Self>) -> serve_core::axum::Router {
        serve_core::axum::Router::new()
    }
}

fn main() {}
