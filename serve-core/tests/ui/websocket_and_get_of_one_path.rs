use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Chat;

#[handle]
impl Chat {
    #[get("/rooms/{id}")]
    pub async fn room(&self, id: u64) -> u64 {
        id
    }

    #[websocket("/rooms/{room}")]
    async fn chat(&self, room: u64, socket: WebSocket<String>) {
        let _ = (room, socket);
    }
}

fn main() {}
