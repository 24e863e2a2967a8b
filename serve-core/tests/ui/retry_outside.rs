use serve_core::prelude::*;

pub struct Adder;

impl Adder {
    #[retry(max = 3)]
    pub async fn one(&self) {}
}

fn main() {}
