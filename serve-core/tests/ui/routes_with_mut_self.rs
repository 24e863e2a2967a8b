use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[routes]
    pub fn routes(&mut self) -> serve_core::axum::Router {
        serve_core::axum::Router::new()
    }
}

fn main() {}
