use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[reconfigure]
    async fn reconfigure(&self, offset: u64, name: String) {
        let _ = (offset, name);
    }
}

fn main() {}
