use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    async fn secret(&self) -> u64 {
        1
    }
}

fn call(adder: &AdderHandle) {
    drop(adder.secret());
}

fn main() {}
