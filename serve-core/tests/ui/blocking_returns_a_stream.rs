use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[blocking]
    pub fn count(&self) -> impl Stream<Item = u64> {
        futures::stream::iter(0..3)
    }

    #[blocking]
    pub fn fallible(&self) -> Result<impl Stream<Item = u64>> {
        Ok(futures::stream::iter(0..3))
    }
}

fn main() {}
