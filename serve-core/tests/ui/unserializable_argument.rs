use serve_core::prelude::*;

pub struct Model;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    pub async fn take(&self, a: u64, model: Model) -> u64 {
        let _ = model;
        a
    }
}

fn main() {}
