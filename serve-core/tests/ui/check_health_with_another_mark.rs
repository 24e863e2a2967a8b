use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[check_health]
    #[get("/healthy")]
    pub async fn healthy(&self) {}
}

fn main() {}
