use serve_core::prelude::*;

pub struct Adder;

impl Adder {
    #[reconfigure]
    pub async fn one(&self, settings: u64) {
        let _ = settings;
    }
}

fn main() {}
