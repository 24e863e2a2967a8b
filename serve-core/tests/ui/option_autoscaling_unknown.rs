use serve_core::prelude::*;

#[deployment(autoscaling(max_replicas = 4, upscale_delay_s = "30s"))]
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
