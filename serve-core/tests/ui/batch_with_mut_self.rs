use serve_core::prelude::*;

#[deployment]
pub struct Embedder(usize);

#[handle]
impl Embedder {
    pub fn new() -> Self {
        Self(0)
    }

    #[batch]
    pub async fn embed(&mut self, texts: Vec<String>) -> Vec<String> {
        self.0 += texts.len();
        texts
    }
}

fn main() {}
