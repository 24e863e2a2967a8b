use serve_core::prelude::*;

#[deployment(rolling_update_percentage = 20, max_surge_percent = 200)]
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
