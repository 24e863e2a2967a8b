use serve_core::prelude::*;

pub struct Model(std::cell::Cell<u64>);

#[derive(Debug)]
pub struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken")
    }
}

#[deployment(local)]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    pub async fn take(&self, model: Model) -> Result<Model, Broken> {
        Ok(model)
    }

    pub fn models(&self) -> impl Stream<Item = Model> + use<> {
        serve_core::futures::stream::empty()
    }
}

async fn call(adder: &AdderHandle) -> Option<u64> {
    let model = adder.take(Model(std::cell::Cell::new(1))).await.ok()?;
    Some(model.0.get())
}

fn main() {
    let _ = call;
}
