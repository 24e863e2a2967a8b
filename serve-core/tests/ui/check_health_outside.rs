use serve_core::prelude::*;

pub struct Adder;

impl Adder {
    #[check_health]
    pub async fn one(&self) {}
}

fn main() {}
