use serve_core::prelude::*;

#[deployment]
pub struct Embedder;

#[handle]
impl Embedder {
    pub fn new() -> Self {
        Self
    }

    #[batch]
    pub async fn count(&self, texts: Vec<String>) -> usize {
        texts.len()
    }

    #[batch]
    pub async fn keep(&self, texts: Vec<String>) {
        drop(texts);
    }

    #[batch]
    pub fn tokens(&self, texts: Vec<String>) -> impl Stream<Item = Vec<String>> {
        futures::stream::iter([texts])
    }
}

fn main() {}
