use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Adder;

#[handle]
impl Adder {
    pub async fn add(&self, a: u64) -> u64 {
        a
    }

    pub async fn add(&self, a: u64, b: u64) -> u64 {
        a + b
    }
}

fn main() {}
