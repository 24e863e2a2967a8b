use serve_core::prelude::*;

#[deployment(autoscaling(min_replicas = 8, max_replicas = 4))]
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
