use serve_core::prelude::*;

#[derive(Debug, Serialize, Deserialize)]
pub struct Broken;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    pub async fn fail(&self) -> Result<u64, Broken> {
        Err(Broken)
    }
}

fn main() {}
