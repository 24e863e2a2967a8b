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

#[deployment]
pub struct Other;

#[handle]
impl Other {
    pub fn new() -> Self {
        Self
    }
}

#[deployment]
pub struct Ingress(AdderHandle);

#[handle]
impl Ingress {
    pub fn new(adder: AdderHandle) -> Self {
        Self(adder)
    }
}

fn graph() -> Bound<Ingress> {
    Ingress::bind(Other::bind())
}

fn main() {}
