use serve_core::prelude::*;

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    pub async fn add(&self, a: u64, b: u64) -> u64 {
        a + b
    }

    pub fn count(&self, to: u64) -> impl Stream<Item = u64> + use<> {
        serve_core::futures::stream::iter(0..to)
    }

    pub async fn name(&self) -> String {
        "adder".to_owned()
    }
}

fn run(runtime: &Runtime) {
    let _ = runtime.run(Adder::new());
}

fn main() {}
