use serve_core::prelude::*;

#[derive(Default)]
pub struct Fastest;

#[deployment(request_router = Fastest)]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    pub async fn one(&self) -> u64 {
        1
    }
}

fn main() {}
