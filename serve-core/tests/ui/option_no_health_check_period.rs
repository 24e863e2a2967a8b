use serve_core::prelude::*;

#[deployment(health_check_period = "0s")]
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
