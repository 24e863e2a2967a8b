use serve_core::prelude::*;

pub struct Model;

#[deployment]
pub struct Classifier(Model);

#[handle]
impl Classifier {
    pub fn new(model: Model) -> Self {
        Self(model)
    }
}

fn main() {
    let _ = Classifier::bind(Model);
}
