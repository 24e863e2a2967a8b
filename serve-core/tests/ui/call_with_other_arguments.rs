use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Adder;

#[handle]
impl Adder {
    pub async fn add(&self, a: u64, b: u64) -> u64 {
        a + b
    }
}

pub fn too_few(adder: &AdderHandle) {
    adder.add(1).detach();
}

pub fn too_many(adder: &AdderHandle) {
    adder.add(1, 2, 3).detach();
}

pub async fn a_result(adder: &AdderHandle) {
    let sum = adder.add(1, 2).await;
    adder.add(sum, 3).detach();
}

pub fn a_reference(adder: &AdderHandle, a: &u64) {
    adder.add(a, 3).detach();
}

fn main() {}
