use serve_core::prelude::*;

pub struct Model;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    pub fn models(&self) -> impl Stream<Item = Result<Model>> + use<> {
        serve_core::futures::stream::empty()
    }
}

fn main() {}
