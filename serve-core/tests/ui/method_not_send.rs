use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    pub async fn wait(&self) -> u64 {
        let number = std::rc::Rc::new(1);
        std::future::ready(()).await;
        *number
    }
}

fn main() {}
