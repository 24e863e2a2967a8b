use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Chat;

#[handle]
impl Chat {
    #[websocket("/ws")]
    fn chat(&self, socket: WebSocket<String>) {
        let _ = socket;
    }

    #[websocket("/generic")]
    async fn generic<T>(&self, socket: WebSocket<String>) {
        let _ = socket;
    }
}

fn main() {}
