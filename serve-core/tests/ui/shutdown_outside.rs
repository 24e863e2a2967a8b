use serve_core::prelude::*;

pub struct Adder;

impl Adder {
    #[shutdown]
    pub async fn one(&self) {}
}

fn main() {}
