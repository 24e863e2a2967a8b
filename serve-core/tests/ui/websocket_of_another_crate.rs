use serve_core::axum::extract::ws::WebSocket;
use serve_core::{deployment, handle};

#[deployment]
#[derive(Default)]
pub struct Chat;

#[handle]
impl Chat {
    #[websocket("/ws")]
    async fn chat(&self, socket: WebSocket) {
        let _ = socket;
    }
}

fn main() {}
