use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Reader;

#[handle]
impl Reader {
    pub async fn of_io(&self) -> std::io::Result<u64> {
        Ok(1)
    }

    pub async fn of_any_type(&self) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
        Ok(1)
    }
}

fn main() {}
