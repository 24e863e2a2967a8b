use serve_core::prelude::*;

#[derive(Serialize, Deserialize)]
pub struct Model(u64);

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[post("/")]
    pub async fn take(&self, model: Model) -> u64 {
        model.0
    }
}

fn main() {}
