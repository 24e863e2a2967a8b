use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    pub async fn take<T: Serialize>(&self, value: T) -> String {
        let _ = value;
        String::new()
    }
}

fn main() {}
