use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[batch]
    #[blocking]
    pub fn count(&self, to: Vec<u64>) -> impl Iterator<Item = Vec<Option<u64>>> {
        to.into_iter().map(|to| vec![Some(to)])
    }

    #[batch]
    #[blocking]
    pub fn stream(&self, to: Vec<u64>) -> impl Stream<Item = Vec<Option<u64>>> {
        futures::stream::iter(to.into_iter().map(|to| vec![Some(to)]))
    }
}

fn main() {}
