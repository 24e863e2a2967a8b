use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Chat;

#[handle]
impl Chat {
    #[websocket("/ws")]
    async fn chat(&self, mut socket: WebSocket<String>) {
        let text = std::rc::Rc::new(1);
        socket.next().await;
        drop(text);
    }
}

fn main() {}
