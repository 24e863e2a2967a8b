use serve_core::prelude::*;

#[derive(Serialize, Deserialize)]
pub struct Result;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    pub async fn odd(&self) -> Result {
        Result
    }
}

fn main() {}
