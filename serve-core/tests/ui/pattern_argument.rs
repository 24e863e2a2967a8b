use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    pub async fn take(&self, (a, b): (u64, u64)) -> u64 {
        a + b
    }
}

fn main() {}
