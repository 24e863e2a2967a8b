use serve_core::prelude::*;

#[deployment(request_timeout = "soon", graceful_shutdown_timeout = 20)]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    pub async fn one(&self) -> u64 {
        1
    }
}

fn main() {}
