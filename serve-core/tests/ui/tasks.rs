use std::rc::Rc;

use serve_core::prelude::*;

#[task]
pub async fn keep_across_an_await(a: u64) -> u64 {
    let kept = Rc::new(a);
    std::future::ready(()).await;
    *kept
}

#[task]
pub fn double(a: u64) -> u64 {
    a * 2
}

pub fn without_an_argument() {
    double::remote().detach();
}

fn main() {}
