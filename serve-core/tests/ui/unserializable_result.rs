use serve_core::prelude::*;

pub struct Model;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    pub async fn model(&self) -> Model {
        Model
    }
}

fn main() {}
