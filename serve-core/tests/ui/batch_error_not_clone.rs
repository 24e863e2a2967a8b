use serve_core::prelude::*;

#[derive(Debug, Serialize, Deserialize)]
pub struct Failed;

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it failed")
    }
}

#[deployment]
pub struct Embedder;

#[handle]
impl Embedder {
    pub fn new() -> Self {
        Self
    }

    #[batch]
    pub async fn embed(&self, texts: Vec<String>) -> Result<Vec<String>, Failed> {
        Ok(texts)
    }
}

fn main() {}
