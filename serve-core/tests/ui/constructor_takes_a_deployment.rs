use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Adder;

#[handle]
impl Adder {
    pub async fn add(&self, a: u64, b: u64) -> u64 {
        a + b
    }
}

#[deployment]
pub struct Ingress {
    adder: Adder,
    others: Vec<Adder>,
}

#[handle]
impl Ingress {
    pub fn new(adder: Adder, others: Vec<Adder>) -> Self {
        Self { adder, others }
    }
}

fn main() {}
