use serve_core::prelude::*;

#[deployment]
pub enum Adder {
    Plain,
}

fn main() {}
