use serve_core::prelude::*;

#[deployment]
pub struct Embedder;

#[handle]
impl Embedder {
    pub fn new() -> Self {
        Self
    }

    #[batch(max_bach_size = 8)]
    pub async fn misspelt(&self, texts: Vec<String>) -> Vec<String> {
        texts
    }

    #[batch(max_batch_size = 0)]
    pub async fn no_room(&self, texts: Vec<String>) -> Vec<String> {
        texts
    }

    #[batch(batch_wait_timeout = 0.01)]
    pub async fn no_unit(&self, texts: Vec<String>) -> Vec<String> {
        texts
    }

    #[batch(batch_wait_timeout = "soon")]
    pub async fn no_duration(&self, texts: Vec<String>) -> Vec<String> {
        texts
    }

    #[batch(batch_size_fn = |text: &String| text.len())]
    pub async fn no_path(&self, texts: Vec<String>) -> Vec<String> {
        texts
    }

    #[batch = 8]
    pub async fn no_list(&self, texts: Vec<String>) -> Vec<String> {
        texts
    }
}

fn main() {}
