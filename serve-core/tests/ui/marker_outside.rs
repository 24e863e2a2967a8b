use serve_core::prelude::*;

pub struct Adder;

impl Adder {
    #[post("/")]
    pub async fn one(&self) -> u64 {
        1
    }
}

fn main() {}
