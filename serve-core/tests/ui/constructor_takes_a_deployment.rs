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

// Each replica has a clone of its own, which is no mistake.
#[deployment]
#[derive(Clone)]
pub struct Plain;

#[handle]
impl Plain {
    pub fn new() -> Self {
        Self
    }
}

#[deployment]
pub struct ByValue(Plain);

#[handle]
impl ByValue {
    pub fn new(plain: Plain) -> Self {
        Self(plain)
    }
}

pub fn by_value() -> Bound<ByValue> {
    ByValue::bind(Plain::new())
}

fn main() {}
