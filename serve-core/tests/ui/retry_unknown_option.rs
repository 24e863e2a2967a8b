use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[retry(times = 3)]
    pub async fn one(&self) -> u64 {
        1
    }
}

fn main() {}
