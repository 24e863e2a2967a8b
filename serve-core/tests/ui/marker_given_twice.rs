use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[blocking]
    #[blocking]
    pub fn crunch(&self) -> u64 {
        1
    }
}

fn main() {}
