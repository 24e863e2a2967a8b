use serve_core::prelude::*;

#[derive(Deserialize)]
pub struct Settings {
    pub offset: u64,
}

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[reconfigure]
    async fn reconfigure(&self, settings: Settings) -> u64 {
        settings.offset
    }
}

fn main() {}
