use serve_core::prelude::*;

#[deployment]
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

#[handle]
impl Adder {
    pub async fn two(&self) -> u64 {
        2
    }
}

fn main() {}
