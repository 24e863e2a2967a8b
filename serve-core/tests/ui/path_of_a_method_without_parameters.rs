use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[get("/papers/{id}")]
    pub async fn paper(&self) -> u64 {
        7
    }
}

fn main() {}
