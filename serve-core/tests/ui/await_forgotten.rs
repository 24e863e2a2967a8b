use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Adder;

#[handle]
impl Adder {
    pub async fn add(&self, a: u64, b: u64) -> u64 {
        a + b
    }

    pub async fn name(&self) -> String {
        "adder".to_owned()
    }

    pub fn count(&self, to: u64) -> impl Stream<Item = u64> + use<> {
        futures::stream::iter(0..to)
    }
}

pub async fn assigned(adder: AdderHandle) {
    let _sum: u64 = adder.add(1, 2);
}

pub async fn computed(adder: AdderHandle) {
    let _sum = adder.add(1, 2) + 1;
}

pub async fn printed(adder: AdderHandle) {
    println!("{}", adder.add(1, 2));
}

pub async fn used(adder: AdderHandle) {
    let _length = adder.name().len();
}

pub async fn questioned(adder: AdderHandle) -> Result<u64> {
    let sum = adder.add(1, 2)?;
    Ok(sum)
}

pub async fn iterated(adder: AdderHandle) {
    for _ in adder.count(3) {}
}

pub async fn without_the_question_mark(adder: AdderHandle) -> u64 {
    adder.add(1, 2).await
}

pub async fn returned(adder: AdderHandle) -> Result<u64> {
    adder.add(1, 2).await
}

fn main() {}
