use serve_core::prelude::*;

pub struct Chat;

impl Chat {
    #[websocket("/ws")]
    async fn chat(&self, socket: WebSocket<String>) {
        let _ = socket;
    }
}

fn main() {}
