use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Chat;

#[handle]
impl Chat {
    #[websocket("/ws")]
    async fn chat(&self, room: String) {
        let _ = room;
    }

    #[websocket("/two")]
    async fn two(&self, one: WebSocket<String>, two: WebSocket<String>) {
        let _ = (one, two);
    }
}

fn main() {}
