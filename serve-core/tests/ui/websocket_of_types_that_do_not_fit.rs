use serve_core::prelude::*;

pub struct Said;

#[derive(Serialize, Deserialize)]
pub struct Heard;

#[deployment]
#[derive(Default)]
pub struct Chat;

#[handle]
impl Chat {
    #[websocket("/received")]
    async fn received(&self, socket: WebSocket<Said, String>) {
        let _ = socket;
    }

    #[websocket("/sent")]
    async fn sent(&self, socket: WebSocket<String, Said>) {
        let _ = socket;
    }

    #[websocket("/schema")]
    async fn schema(&self, socket: WebSocket<String, Heard>) {
        let _ = socket;
    }
}

fn main() {}
