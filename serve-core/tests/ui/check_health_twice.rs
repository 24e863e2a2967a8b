use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[check_health]
    async fn model_is_there(&self) {}

    #[check_health]
    async fn disk_is_there(&self) {}
}

fn main() {}
