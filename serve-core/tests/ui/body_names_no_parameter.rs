use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[post("/papers", body = papper)]
    pub async fn add(&self, paper: String, shelf: u64) -> u64 {
        shelf + paper.len() as u64
    }
}

fn main() {}
