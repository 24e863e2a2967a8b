use serve_core::prelude::*;

pub struct Sick;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[check_health]
    async fn healthy(&self) -> Result<(), Sick> {
        Err(Sick)
    }
}

fn main() {}
