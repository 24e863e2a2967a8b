use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[check_health]
    async fn healthy(&self, deep: bool) {
        let _ = deep;
    }
}

fn main() {}
