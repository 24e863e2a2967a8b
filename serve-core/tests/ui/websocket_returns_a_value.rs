use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Chat;

#[handle]
impl Chat {
    #[websocket("/ws")]
    async fn chat(&self, socket: WebSocket<String>) -> u64 {
        let _ = socket;
        1
    }
}

fn main() {}
