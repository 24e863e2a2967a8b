use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Upload;

#[handle]
impl Upload {
    #[post("/", max_bdy = "3MiB")]
    pub async fn take(&self, text: String) -> usize {
        text.len()
    }
}

fn main() {}
