use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Chat;

#[handle]
impl Chat {
    #[websocket]
    async fn none(&self, socket: WebSocket<String>) {
        let _ = socket;
    }

    #[websocket("ws")]
    async fn relative(&self, socket: WebSocket<String>) {
        let _ = socket;
    }

    #[websocket("/{socket}")]
    async fn unknown(&self, socket: WebSocket<String>) {
        let _ = socket;
    }

    #[websocket("/body", max_body = "1MiB")]
    async fn body(&self, socket: WebSocket<String>) {
        let _ = socket;
    }
}

fn main() {}
