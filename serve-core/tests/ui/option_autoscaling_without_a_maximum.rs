use serve_core::prelude::*;

#[deployment(autoscaling(min_replicas = 2))]
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
