use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Chat;

#[handle]
impl Chat {
    #[websocket("/ws")]
    #[get("/ws")]
    pub async fn chat(&self, socket: WebSocket<String>) {
        let _ = socket;
    }
}

fn main() {}
