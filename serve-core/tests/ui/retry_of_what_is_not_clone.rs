use serve_core::prelude::*;

#[derive(Serialize, Deserialize)]
pub struct Image {
    pixels: Vec<u8>,
}

#[deployment]
pub struct Adder;

#[handle]
impl Adder {
    pub fn new() -> Self {
        Self
    }

    #[retry]
    pub async fn show(&self, image: Image) -> usize {
        image.pixels.len()
    }
}

fn main() {}
