use serve_core::prelude::*;

#[deployment(num_replicas = 2, autoscaling(max_replicas = 10))]
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
