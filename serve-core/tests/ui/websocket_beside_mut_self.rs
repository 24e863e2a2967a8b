use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Chat {
    count: u64,
}

#[handle]
impl Chat {
    pub async fn count(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    #[websocket("/ws")]
    async fn chat(&self, socket: WebSocket<String>) {
        let _ = socket;
    }
}

fn main() {}
