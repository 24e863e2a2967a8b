use serve_core::prelude::*;

#[deployment(crate = ::serve)]
#[derive(Default)]
pub struct Adder;

fn main() {}
