use serve_core::prelude::*;

#[deployment]
pub struct Embedder;

#[handle]
impl Embedder {
    pub fn new() -> Self {
        Self
    }

    #[batch]
    pub async fn embed(&self, text: String, lengths: Vec<usize>) -> Vec<usize> {
        let _ = text;
        lengths
    }

    #[batch]
    pub async fn nothing(&self) -> Vec<usize> {
        Vec::new()
    }
}

fn main() {}
