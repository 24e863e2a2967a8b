use serve_core::prelude::*;

const REPLICAS: usize = 3;

#[deployment(num_replicas = REPLICAS)]
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
