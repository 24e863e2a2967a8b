use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    pub async fn take(&self, name: &str) -> usize {
        name.len()
    }

    pub async fn sum(&self, numbers: &[u64]) -> u64 {
        numbers.iter().sum()
    }
}

fn main() {}
