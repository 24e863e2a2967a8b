use serve_core::prelude::*;

#[derive(Clone, Deserialize, Serialize)]
pub struct Settings {
    pub offset: u64,
}

/// Hooks may be private or public, plain or async, and fail or not.
#[deployment]
#[derive(Default)]
pub struct Adder {
    offset: u64,
}

#[handle]
impl Adder {
    #[reconfigure]
    fn reconfigure(&mut self, settings: Settings) {
        self.offset = settings.offset;
    }

    #[check_health]
    pub async fn healthy(&self) -> Result<(), String> {
        Ok(())
    }

    #[shutdown]
    async fn close(&self) -> Result<()> {
        Ok(())
    }

    #[retry]
    pub async fn add(&self, settings: Settings) -> u64 {
        settings.offset + self.offset
    }

    #[retry(max = 3)]
    #[blocking]
    pub fn crunch(&mut self, numbers: Vec<u64>) -> Result<u64> {
        Ok(numbers.iter().sum())
    }
}

/// One of each kind, under conditions that exclude each other.
#[deployment]
#[derive(Default)]
pub struct Conditional;

#[handle]
impl Conditional {
    #[cfg(unix)]
    #[check_health]
    async fn on_unix(&self) {}

    #[cfg(not(unix))]
    #[check_health]
    async fn elsewhere(&self) {}

    #[cfg(unix)]
    #[reconfigure]
    async fn reconfigure(&self, settings: Settings) {
        let _ = settings.offset;
    }

    #[cfg(not(unix))]
    #[reconfigure]
    async fn reconfigure(&self, offset: u64) {
        let _ = offset;
    }

    pub async fn one(&self) -> u64 {
        1
    }
}

fn main() {
    let _ = (Adder::bind().user_config(Settings { offset: 1 }), Conditional::bind());
}
