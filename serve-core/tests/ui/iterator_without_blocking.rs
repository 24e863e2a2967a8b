use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    pub fn count(&self) -> impl Iterator<Item = u64> {
        0..3
    }

    pub async fn fallible(&self) -> Result<impl Iterator<Item = u64>> {
        Ok(0..3)
    }
}

fn main() {}
