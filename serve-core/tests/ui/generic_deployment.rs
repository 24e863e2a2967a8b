use serve_core::prelude::*;

#[deployment]
pub struct Adder<T>(T);

#[handle]
impl<T> Adder<T> {
    pub fn new(value: T) -> Self {
        Self(value)
    }
}

fn main() {}
