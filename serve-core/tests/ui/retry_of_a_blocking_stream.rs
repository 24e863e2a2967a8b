use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[retry]
    #[blocking]
    pub fn count(&self) -> impl Iterator<Item = u64> {
        0..3
    }
}

fn main() {}
