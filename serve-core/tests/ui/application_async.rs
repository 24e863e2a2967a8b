use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    pub async fn add(&self, a: u64, b: u64) -> u64 {
        a + b
    }
}

#[application]
pub async fn adder() -> Application<Adder> {
    Adder::bind().into()
}

fn main() {}
