use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Adder;

#[handle]
impl Adder {
    #[blocking]
    pub async fn new() -> Self {
        Self
    }
}

fn main() {}
