use std::sync::Arc;

use serve_core::prelude::*;

#[derive(Serialize, Deserialize)]
pub struct Model;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    pub async fn take(&self, model: Arc<Model>) {
        drop(model);
    }
}

fn main() {}
