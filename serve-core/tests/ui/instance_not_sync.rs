use serve_core::prelude::*;

#[deployment]
pub struct Adder(std::cell::Cell<u64>);

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self(std::cell::Cell::new(0))
    }

    pub async fn get(&self) -> u64 {
        self.0.get()
    }
}

fn main() {}
