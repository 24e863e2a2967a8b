use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Shop;

#[handle]
impl Shop {
    pub async fn clone(&self) -> u64 {
        1
    }

    pub async fn options(&self) -> Vec<String> {
        Vec::new()
    }

    pub async fn deployment_name(&self) -> String {
        String::new()
    }

    pub async fn application_name(&self) -> String {
        String::new()
    }

    // Not on the handle.
    fn bind(&self) {}
}

fn main() {}
