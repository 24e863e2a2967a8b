use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[retry]
    pub fn count(&self, to: u64) -> impl Stream<Item = u64> {
        serve_core::futures::stream::iter(0..to)
    }
}

fn main() {}
