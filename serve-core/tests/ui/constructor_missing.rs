use serve_core::prelude::*;

#[deployment]
pub struct Adder(u64);

#[handle]
impl Adder {
    pub async fn one(&self) -> u64 {
        self.0
    }
}

fn main() {}
