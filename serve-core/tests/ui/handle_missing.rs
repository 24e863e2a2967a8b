use serve_core::prelude::*;

#[deployment]
pub struct Adder;

impl Adder {
    pub fn new() -> Self {
        Self
    }
}

async fn run(runtime: &Runtime) -> Result<()> {
    runtime.run(Adder::bind()).await?;
    Ok(())
}

fn main() {}
