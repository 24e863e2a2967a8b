use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Chat;

#[handle]
impl Chat {
    #[websocket("/ws")]
    async fn chat(&mut self, socket: WebSocket<String>) {
        let _ = socket;
    }
}

fn main() {}
