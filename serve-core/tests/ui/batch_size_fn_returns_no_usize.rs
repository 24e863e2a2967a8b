use serve_core::prelude::*;

#[deployment]
pub struct Embedder;

#[handle]
impl Embedder {
    pub fn new() -> Self {
        Self
    }

    #[batch(batch_size_fn = weigh)]
    pub async fn embed(&self, texts: Vec<String>) -> Vec<String> {
        texts
    }
}

fn weigh(text: &String) -> u32 {
    text.len() as u32
}

fn main() {}
