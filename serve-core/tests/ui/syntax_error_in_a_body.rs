use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    pub async fn one(&self) -> u64 {
        let number = ;
        number
    }

    pub async fn two(&self) -> u64 {
        2
    }
}

fn call(adder: &AdderHandle) {
    drop(adder.one());
    drop(adder.two());
    drop(Adder::bind());
}

fn main() {}
