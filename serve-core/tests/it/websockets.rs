//! WebSockets, as typed endpoints and through `#[routes]`.

use crate::support::clocks::{MS, SECOND, advance_until, ms, seconds, settle, until};
use crate::support::events::Events;
use crate::support::gauges::Gauge;
use crate::support::status::sockets;

use std::sync::Arc;
use std::time::Duration;

use futures::SinkExt as _;
use serde_json::{Value, json};
use serve_core::axum::Router;
use serve_core::axum::extract::ws as raw;
use serve_core::axum::response::Response as HttpAnswer;
use serve_core::axum::routing::any;
use serve_core::dynamic::AnyApplication;
use serve_core::http::{
    CloseCode, HttpOptions, Message, WebSocket, WebSocketError, WebSocketUpgrade,
};
use serve_core::prelude::*;
use serve_core::testing::WebSocketClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite;

/// A callee that does not return while its test waits.
#[deployment]
struct Slow {
    calls: Gauge,
}

#[handle]
impl Slow {
    fn new(calls: Gauge) -> Self {
        Self { calls }
    }

    pub async fn wait(&self) {
        let _running = self.calls.enter();
        std::future::pending::<()>().await;
    }

    pub async fn request_id(&self) -> String {
        context().request_id().to_owned()
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Said {
    text: String,
    times: usize,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
struct Heard {
    room: String,
    text: String,
}

#[deployment(max_ongoing_requests = 2, graceful_shutdown_timeout = "10s")]
struct Hall {
    slow: SlowHandle,
    events: Events,
    open: Gauge,
}

impl Drop for Hall {
    fn drop(&mut self) {
        self.events.note("instance dropped");
    }
}

#[handle]
impl Hall {
    fn new(slow: SlowHandle, events: Events, open: Gauge) -> Self {
        Self { slow, events, open }
    }

    #[get("/typed")]
    pub async fn typed(&self) -> String {
        "typed".to_owned()
    }

    #[get("/hold")]
    pub async fn hold(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }

    /// Repeats what is said in a room.
    #[websocket("/rooms/{room}")]
    pub async fn room(
        &self,
        room: String,
        greeting: Option<String>,
        mut socket: WebSocket<Said, Heard>,
    ) -> Result<(), WebSocketError> {
        let _open = self.open.enter();
        if let Some(text) = greeting {
            socket.send(Heard { room: room.clone(), text }).await?;
        }
        while let Some(said) = socket.next().await {
            let Said { text, times } =
                said.inspect_err(|error| self.events.note(error.to_string()))?;
            for _ in 0..times {
                socket.send(Heard { room: room.clone(), text: text.clone() }).await?;
            }
        }
        self.events.note("end");
        Ok(())
    }

    #[websocket("/text")]
    async fn text(&self, mut socket: WebSocket<String, String>) {
        let _open = self.open.enter();
        while let Some(Ok(text)) = socket.next().await {
            match text.as_str() {
                "bye" => return,
                "panic" => panic!("secret"),
                "4000" => return socket.close(4000, "as asked").await.unwrap(),
                "slow" => {
                    let _dropped = self.events.note_on_drop("dropped");
                    let _ = self.slow.wait().await;
                }
                "linger" => {
                    let _dropped = self.events.note_on_drop("lingered");
                    while socket.next().await.is_some() {}
                    sleep(seconds(100)).await;
                }
                _ => socket.send(text).await.unwrap(),
            }
        }
        let _dropped = self.events.note_on_drop("end dropped");
        sleep(500 * MS).await;
        self.events.note("end");
    }

    #[websocket("/fails")]
    async fn fails(&self, mut socket: WebSocket<String, String>) -> Result<()> {
        socket.next().await;
        Err(Error::msg("secret"))
    }

    #[websocket("/bytes")]
    async fn bytes(&self, mut socket: WebSocket<Bytes, Bytes>) {
        while let Some(Ok(bytes)) = socket.next().await {
            let _ = socket.send(bytes).await;
        }
    }

    #[websocket("/either")]
    async fn either(&self, mut socket: WebSocket<Message, Message>) {
        while let Some(Ok(message)) = socket.next().await {
            let _ = socket.send(message).await;
        }
    }

    /// Who is there, where, for whom.
    #[websocket("/context")]
    async fn context(&self, mut socket: WebSocket<String, Value>) -> Result<()> {
        while let Some(Ok(_)) = socket.next().await {
            let now = context();
            let replica = replica_context().unwrap();
            socket
                .send(json!({
                    "request": now.request_id(),
                    "called": self.slow.request_id().await?,
                    "session": now.session_id(),
                    "model": now.multiplexed_model_id(),
                    "route": now.route(),
                    "deadline": now.deadline().is_some(),
                    "deployment": replica.deployment(),
                }))
                .await?;
        }
        Ok(())
    }

    /// Sends as fast as it can.
    #[websocket("/flood")]
    async fn flood(&self, socket: WebSocket<String, String>) -> Result<(), WebSocketError> {
        for number in 0.. {
            socket.send(format!("{number:1000}")).await?;
            self.events.note("sent");
        }
        Ok(())
    }

    /// Reads and writes in two tasks.
    #[websocket("/halves")]
    async fn halves(&self, mut socket: WebSocket<String, String>) {
        let sender = socket.sender();
        let reader = serve_core::spawn(async move {
            while let Some(Ok(text)) = socket.next().await {
                socket.send(text).await.unwrap();
            }
        });
        sender.send("hello".to_owned()).await.unwrap();
        let _ = reader.await;
        self.events.note("end");
    }

    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        let (ours, theirs) = (Arc::clone(&self), self);
        Router::new()
            .route("/ours", any(async move |upgrade: WebSocketUpgrade| ours.ours(upgrade).await))
            .route(
                "/theirs",
                any(async move |upgrade: raw::WebSocketUpgrade| theirs.theirs(upgrade).await),
            )
    }

    async fn ours(self: Arc<Self>, upgrade: WebSocketUpgrade) -> HttpAnswer {
        let upgrade = upgrade.protocols(["chat.v2", "chat.v1"]);
        let protocol = upgrade.protocol().unwrap_or_default().to_owned();
        upgrade.on_upgrade(async move |mut socket: WebSocket<String, Value>| {
            let _open = self.open.enter();
            while let Some(Ok(text)) = socket.next().await {
                match text.as_str() {
                    "panic" => panic!("secret"),
                    "slow" => {
                        let _dropped = self.events.note_on_drop("dropped");
                        let _ = self.slow.wait().await;
                    }
                    _ => {}
                }
                let now = context();
                let answer = json!({
                    "request": now.request_id(),
                    "called": self.slow.request_id().await.unwrap(),
                    "session": now.session_id(),
                    "deadline": now.deadline().is_some(),
                    "replica": replica_context().is_some(),
                    "protocol": protocol,
                });
                let _ = socket.send(answer).await;
            }
            self.events.note("end");
        })
    }

    async fn theirs(self: Arc<Self>, upgrade: raw::WebSocketUpgrade) -> HttpAnswer {
        upgrade.on_upgrade(async move |mut socket: raw::WebSocket| {
            let _open = self.open.enter();
            while let Some(Ok(message)) = socket.recv().await {
                let _ = socket.send(message).await;
            }
        })
    }
}

struct Test {
    runtime: MockRuntime,
    events: Events,
    open: Gauge,
    calls: Gauge,
}

impl Test {
    async fn with(options: HttpOptions, change: impl FnOnce(Bound<Hall>) -> Bound<Hall>) -> Self {
        let runtime = MockRuntime::builder().start();
        let (events, open, calls) = (Events::default(), Gauge::default(), Gauge::default());
        let hall = Hall::bind(Slow::bind(calls.clone()), Arc::clone(&events), open.clone());
        runtime.run(Application::new(change(hall)).http_options(options)).await.unwrap();
        Self { runtime, events, open, calls }
    }

    async fn start() -> Self {
        Self::with(HttpOptions::new(), |hall| hall).await
    }

    async fn open(&self, path: &str) -> WebSocketClient {
        self.runtime.http().websocket(path).await.unwrap()
    }

    /// The status with which a WebSocket is refused.
    async fn refused(&self, path: &str) -> (u16, String) {
        let error = self.runtime.http().websocket(path).await.unwrap_err();
        (error.status().unwrap_or_default(), error.to_string())
    }

    fn sockets(&self) -> usize {
        sockets(&self.runtime)
    }

    fn ongoing(&self) -> usize {
        self.runtime.status().applications["default"].deployments["Hall"].ongoing
    }

    /// Checks that nothing is left of any socket.
    async fn nothing_is_left(&self) {
        sleep(5 * SECOND).await;
        let left = (self.sockets(), self.open.now(), self.calls.now(), self.ongoing());
        assert_eq!(left, (0, 0, 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_typed_socket_takes_parameters_and_speaks_json() {
    let test = Test::start().await;
    let mut socket = test.open("/rooms/blue%20one?greeting=welcome").await;
    let heard = |text: &str| Heard { room: "blue one".to_owned(), text: text.to_owned() };
    assert_eq!(socket.next_json::<Heard>().await.unwrap(), heard("welcome"));
    socket.send_json(&json!({ "text": "hi", "times": 2 })).await.unwrap();
    assert_eq!(socket.next_json::<Heard>().await.unwrap(), heard("hi"));
    assert_eq!(socket.next_json::<Heard>().await.unwrap(), heard("hi"));
    assert_eq!((test.sockets(), test.ongoing()), (1, 0));
    assert_eq!(socket.close(1000, "done").await, 1000);
    assert_eq!(test.events.take(), ["end"]);
    test.nothing_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn text_bytes_and_messages_are_raw() {
    let test = Test::start().await;
    let mut text = test.open("/text").await;
    text.send("{not json").await.unwrap();
    assert_eq!(text.next().await, Some(Message::Text("{not json".to_owned())));
    let mut bytes = test.open("/bytes").await;
    bytes.send(Bytes::from_static(&[0, 255])).await.unwrap();
    assert_eq!(bytes.next().await, Some(Message::Binary(Bytes::from_static(&[0, 255]))));
    let mut either = test.open("/either").await;
    for message in [Message::from("a"), Message::from(Bytes::from("b"))] {
        either.send(message.clone()).await.unwrap();
        assert_eq!(either.next().await, Some(message));
    }
    bytes.send("text").await.unwrap();
    assert_eq!(bytes.closed().await, 1003);
    text.send(Bytes::from("bytes")).await.unwrap();
    assert_eq!(text.closed().await, 1003);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_fit_is_refused_before_the_upgrade() {
    let runtime = MockRuntime::builder().start();
    runtime.run(Numbers::bind()).await.unwrap();
    let refused = async |path: &str| {
        let error = runtime.http().websocket(path).await.unwrap_err();
        (error.status().unwrap(), error.to_string())
    };
    let (status, message) = refused("/numbers/x").await;
    assert!(status == 422 && message.contains("\"field\":\"of\""), "{message}");
    let (status, message) = refused("/numbers/1").await;
    assert!(status == 422 && message.contains("\"field\":\"by\""), "{message}");
    assert_eq!(refused("/numbers/1?by=%FF").await.0, 422);
    assert_eq!(refused("/nothing").await.0, 404);
    let plain = runtime.http().get("/numbers/1?by=2").await.unwrap();
    assert_eq!((plain.status().as_u16(), plain.header("upgrade")), (426, Some("websocket")));
    assert!(plain.text().await.unwrap().contains("Connection: upgrade"));
    assert_eq!(runtime.http().post("/numbers/1").await.unwrap().status(), 405);
    let foreign = runtime.http().websocket("/numbers/1?by=2").header("origin", "http://evil");
    assert_eq!(foreign.await.unwrap_err().status(), Some(403));
    let mut socket = runtime.http().websocket("/numbers/1?by=2").await.unwrap();
    assert_eq!(socket.next_json::<u32>().await.unwrap(), 3);
    assert_eq!(socket.closed().await, 1000);
    // The method is not a method of the handle.
    let runtime = MockRuntime::builder().start();
    let numbers = AnyApplication::from(Numbers::bind().into_application());
    let numbers = runtime.run_any(numbers).await.unwrap();
    assert!(numbers.methods().is_empty(), "{:?}", numbers.methods());
}

#[deployment]
#[derive(Default)]
struct Numbers;

#[handle]
impl Numbers {
    #[websocket("/numbers/{of}")]
    pub async fn numbers(&self, of: u32, socket: WebSocket<u32>, by: u32) {
        socket.send(of + by).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_method_closes_the_socket() {
    let test = Test::start().await;
    for (path, last, code, reason) in [
        ("/text", "bye", 1000, ""),
        ("/text", "4000", 4000, "as asked"),
        ("/text", "panic", 1011, "internal error"),
        ("/fails", "x", 1011, "internal error"),
    ] {
        let mut socket = test.open(path).await;
        socket.send(last).await.unwrap();
        assert_eq!(socket.closed().await, code, "{last}");
        assert_eq!(socket.close_reason().as_deref(), Some(reason), "{last}");
        assert!(socket.send("more").await.is_err());
    }
    test.nothing_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_does_not_fit_closes_with_1007_and_a_large_one_with_1009() {
    let options = HttpOptions::new().max_websocket_message(1000);
    let test = Test::with(options, |hall| hall).await;
    for (message, fault) in [
        ("{", "not JSON"),
        (r#"{"text": "a", "times": -1}"#, "`times`: invalid value"),
        (r#"{"text": "a"}"#, "missing field `times`"),
    ] {
        let mut socket = test.open("/rooms/a").await;
        socket.send(message).await.unwrap();
        assert_eq!(socket.closed().await, 1007, "{message}");
        let event = test.events.take().pop().unwrap();
        assert!(event.contains(fault), "{event}");
        assert!(socket.close_reason().unwrap().contains(fault), "{:?}", socket.close_reason());
    }
    let mut socket = test.open("/rooms/a").await;
    socket.send("x".repeat(1001)).await.unwrap();
    assert_eq!(socket.closed().await, CloseCode::TOO_LARGE);
    assert_eq!(test.events.take(), ["a message is larger than 1000 bytes"]);
    test.nothing_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn a_socket_has_the_context_of_its_request() {
    let test = Test::with(HttpOptions::new().request_timeout(SECOND), |hall| hall).await;
    let open = |path: &str| {
        let request = test.runtime.http().websocket(path).header("x-request-id", "dora");
        let request =
            request.header("serve_session_id", "s").header("x-request-timeout-seconds", "2");
        request.header("serve_multiplexed_model_id", "m")
    };
    let mut socket = open("/context").await.unwrap();
    // A deadline is that of the request, not of the socket.
    sleep(10 * SECOND).await;
    socket.send("?").await.unwrap();
    let expected = json!({
        "request": "dora", "called": "dora", "session": "s", "model": "m", "route": "/context",
        "deadline": false, "deployment": "Hall",
    });
    assert_eq!(socket.next_json::<Value>().await.unwrap(), expected);

    let mut socket = open("/ours").header("sec-websocket-protocol", "chat.v1, x").await.unwrap();
    sleep(10 * SECOND).await;
    socket.send("?").await.unwrap();
    let expected = json!({
        "request": "dora", "called": "dora", "session": "s", "deadline": false, "replica": true,
        "protocol": "chat.v1",
    });
    assert_eq!(socket.next_json::<Value>().await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_cancels_what_its_method_waits_for() {
    let test = Test::start().await;
    for path in ["/text", "/ours"] {
        for closes in [true, false] {
            let mut socket = test.open(path).await;
            socket.send("slow").await.unwrap();
            until("it calls", || test.calls.now() == 1).await;
            let began = Instant::now();
            if closes {
                assert_eq!(socket.close(1001, "").await, 1001);
            } else {
                drop(socket);
            }
            until("it is dropped", || test.calls.now() == 0).await;
            assert!(began.elapsed() < 10 * MS, "{:?}", began.elapsed());
            assert_eq!(test.events.take(), ["dropped"], "{path} {closes}");
            test.nothing_is_left().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_method_that_waits_for_its_client_sees_it_leave_and_has_a_second() {
    let test = Test::start().await;
    let mut socket = test.open("/text").await;
    assert_eq!(socket.close(1000, "").await, 1000);
    sleep(SECOND).await;
    assert_eq!(test.events.take(), ["end", "end dropped"]);
    drop(test.open("/text").await);
    sleep(SECOND).await;
    assert_eq!(test.events.take(), ["end", "end dropped"]);

    let mut socket = test.open("/text").await;
    socket.send("linger").await.unwrap();
    settle().await;
    let began = Instant::now();
    socket.close(1000, "").await;
    until("it sees the end", || test.events.len() == 0).await;
    advance_until(5 * SECOND, "it is dropped", || test.events.len() > 0).await;
    let took = began.elapsed();
    assert!(took >= SECOND && took < SECOND + 50 * MS, "{took:?}");
    test.events.take();
    // In another task too.
    let mut socket = test.open("/halves").await;
    assert_eq!(socket.next_text().await.unwrap(), "hello");
    socket.send("x").await.unwrap();
    assert_eq!(socket.next_text().await.unwrap(), "x");
    socket.close(1000, "").await;
    sleep(10 * MS).await;
    assert_eq!(test.events.take(), ["end"]);
    test.nothing_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_makes_the_method_wait() {
    let options = HttpOptions::new().websocket_idle_timeout(Duration::ZERO);
    let test = Test::with(options, |hall| hall).await;
    let mut socket = test.open("/flood").await;
    sleep(SECOND).await;
    let sent = test.events.len();
    assert!(sent < 1000, "{sent}");
    sleep(100 * SECOND).await;
    assert_eq!(test.events.len(), sent);
    for number in 0..1000 {
        assert_eq!(socket.next_text().await.unwrap(), format!("{number:1000}"));
    }
    drop(socket);
    test.nothing_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn a_method_that_does_not_read_makes_the_client_wait() {
    let test = Test::start().await;
    let socket = test.open("/text").await;
    socket.send("slow").await.unwrap();
    let sending = async {
        loop {
            socket.send("x".repeat(1000)).await.unwrap();
        }
    };
    assert!(timeout(SECOND, sending).await.is_err());
    // The method is behind, not the client: the socket is not closed for silence.
    sleep(200 * SECOND).await;
    assert_eq!((test.calls.now(), test.sockets()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn silent_sockets_take_no_slots_and_have_a_limit_of_their_own() {
    let test = Test::start().await;
    let mut open = Vec::new();
    for number in 0..1000 {
        let path = ["/text", "/ours", "/theirs", "/rooms/a"][number % 4];
        open.push(test.open(path).await);
    }
    assert_eq!((test.sockets(), test.ongoing()), (1000, 0));
    for path in ["/text", "/ours", "/theirs"] {
        let (status, message) = test.refused(path).await;
        assert!(status == 503 && message.contains("max_websockets"), "{message}");
    }
    let http = test.runtime.http();
    assert_eq!(http.get("/typed").await.unwrap().status(), 200);
    // Slots are full, and a socket opens all the same.
    open.pop();
    sleep(SECOND).await;
    let holds = [0, 1].map(|_| tokio::spawn(http.get("/hold?seconds=100").send()));
    settle().await;
    assert_eq!(test.ongoing(), 2);
    open.push(test.open("/text").await);
    assert_eq!(test.sockets(), 1000);
    holds.iter().for_each(|hold| hold.abort());
    // They are silent, and there: they answer pings.
    sleep(300 * SECOND).await;
    assert_eq!(test.sockets(), 1000);
    drop(open);
    test.nothing_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn sockets_are_spread_over_replicas_and_sessions_stay_together() {
    let options = HttpOptions::new().max_websockets(10);
    let test = Test::with(options, |hall| hall.num_replicas(3)).await;
    let mut open = Vec::new();
    for _ in 0..30 {
        open.push(test.open("/text").await);
    }
    assert_eq!(test.refused("/text").await.0, 503);
    let status = test.runtime.status();
    let hall = &status.applications["default"].deployments["Hall"];
    assert!(hall.replicas.iter().all(|replica| replica.websockets == 10), "{hall:?}");
    open.clear();
    sleep(SECOND).await;
    for session in ["a", "b", "c", "d"] {
        for _ in 0..5 {
            let socket = test.runtime.http().websocket("/text").header("serve_session_id", session);
            open.push(socket.await.unwrap());
        }
        let status = test.runtime.status();
        let hall = &status.applications["default"].deployments["Hall"];
        let counts: Vec<_> = hall.replicas.iter().map(|replica| replica.websockets).collect();
        assert!(counts.iter().all(|count| count % 5 == 0), "{counts:?}");
        open.clear();
        sleep(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_socket_waits_for_the_first_replica() {
    let runtime = MockRuntime::builder().start();
    let calls = Gauge::default();
    let hall = Hall::bind(Slow::bind(calls), Events::default(), Gauge::default());
    let hall = hall.autoscaling(AutoscalingConfig::auto().min_replicas(0));
    runtime.run(hall).await.unwrap();
    let mut socket = runtime.http().websocket("/text").await.unwrap();
    socket.send("x").await.unwrap();
    assert_eq!(socket.next_text().await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn sockets_hear_of_a_shutdown_at_once() {
    for change in ["shutdown", "delete", "redeploy"] {
        let test = Test::start().await;
        let mut socket = test.open("/text").await;
        let mut ours = test.open("/ours").await;
        let mut busy = test.open("/text").await;
        busy.send("slow").await.unwrap();
        until("it calls", || test.calls.now() == 1).await;
        let began = Instant::now();
        let runtime = test.runtime.clone();
        let changed = tokio::spawn(async move {
            match change {
                "shutdown" => runtime.shutdown().await,
                "delete" => runtime.delete("default").await.unwrap(),
                _ => {
                    let slow = Slow::bind(Gauge::default());
                    let hall = Hall::bind(slow, Events::default(), Gauge::default());
                    runtime.run(hall).await.map(drop).unwrap();
                }
            }
        });
        for socket in [&mut socket, &mut ours, &mut busy] {
            assert_eq!(socket.closed().await, 1001, "{change}");
            assert_eq!(socket.close_reason().as_deref(), Some("shutting down"));
        }
        assert!(began.elapsed() < SECOND, "{change}: {:?}", began.elapsed());
        changed.await.unwrap();
        // The busy one may go on for the grace period of its replica. A redeploy does not wait for it.
        advance_until(20 * SECOND, "they end", || test.open.now() == 0).await;
        let took = began.elapsed();
        assert!(took >= 10 * SECOND && took < 13 * SECOND, "{change}: {took:?}");
        assert_eq!((test.open.now(), test.calls.now()), (0, 0), "{change}");
        let events = test.events.take();
        assert!(events.contains(&"dropped".to_owned()), "{change}: {events:?}");
        assert_eq!(
            events.iter().filter(|event| *event == "end").count(),
            2,
            "{change}: {events:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_socket_ends_with_its_replica() {
    let test = Test::start().await;
    let mut typed = test.open("/text").await;
    let mut busy = test.open("/text").await;
    let mut ours = test.open("/ours").await;
    let mut theirs = test.open("/theirs").await;
    let _stuck = test.open("/flood").await;
    busy.send("slow").await.unwrap();
    theirs.send("x").await.unwrap();
    assert_eq!(theirs.next_text().await.unwrap(), "x");
    until("it calls", || test.calls.now() == 1).await;
    assert_eq!(test.sockets(), 5);
    assert!(test.runtime.kill_replica::<Hall>(0));
    for socket in [&mut typed, &mut busy, &mut ours] {
        assert_eq!(socket.closed().await, 1011);
        assert_eq!(socket.close_reason().as_deref(), Some("the replica ended"));
    }
    assert_eq!(theirs.closed().await, 1006);
    test.nothing_is_left().await;
    assert!(test.events.take().contains(&"instance dropped".to_owned()));
    // The next replica has its own.
    let mut socket = test.open("/text").await;
    socket.send("x").await.unwrap();
    assert_eq!(socket.next_text().await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn three_panics_in_a_row_replace_the_replica() {
    let test = Test::start().await;
    let id = |test: &Test| {
        let status = test.runtime.status();
        status.applications["default"].deployments["Hall"].replicas[0].replica_id.clone()
    };
    let before = id(&test);
    for _ in 0..3 {
        let mut socket = test.open("/text").await;
        socket.send("panic").await.unwrap();
        assert_eq!(socket.closed().await, 1011);
    }
    sleep(60 * SECOND).await;
    assert_ne!(id(&test), before);
}

#[tokio::test(start_paused = true)]
async fn mocks_serve_no_sockets() {
    let runtime = MockRuntime::builder().mock(HallMock::new()).start();
    let slow = Slow::bind(Gauge::default());
    runtime.run(Hall::bind(slow, Events::default(), Gauge::default())).await.unwrap();
    let error = runtime.http().websocket("/text").await.unwrap_err();
    assert_eq!(error.status(), Some(503), "{error}");
    sleep(5 * SECOND).await;
    assert_eq!(sockets(&runtime), 0);
}

#[tokio::test(start_paused = true)]
async fn sockets_are_described() {
    let test = Test::start().await;
    let http = test.runtime.http();
    let api: Value = http.get("/openapi.json").await.unwrap().json().await.unwrap();
    let room = &api["paths"]["/rooms/{room}"]["get"];
    assert_eq!(room["x-websocket"]["in"]["$ref"], "#/components/schemas/Said");
    assert_eq!(room["x-websocket"]["out"]["$ref"], "#/components/schemas/Heard");
    assert_eq!(room["x-websocket"]["formats"], json!({ "in": "json", "out": "json" }));
    assert_eq!(room["summary"], "Repeats what is said in a room");
    let names: Vec<_> =
        room["parameters"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["room", "greeting"]);
    let responses: Vec<_> = room["responses"].as_object().unwrap().keys().collect();
    assert_eq!(responses, ["101", "422", "426", "503"]);
    let text = &api["paths"]["/text"]["get"]["x-websocket"];
    assert_eq!(text["in"], json!({ "type": "string" }));
    assert_eq!(text["formats"], json!({ "in": "text", "out": "text" }));
    assert!(api["components"]["schemas"].get("Heard").is_some());
}

async fn on_a_port(options: HttpOptions) -> (Runtime, Events, Gauge) {
    let runtime = Runtime::builder().http(([127, 0, 0, 1], 0)).http_options(options);
    let runtime = runtime.start().await.unwrap();
    let (events, open) = (Events::default(), Gauge::default());
    let hall = Hall::bind(Slow::bind(Gauge::default()), Arc::clone(&events), open.clone());
    runtime.run(hall).await.unwrap();
    (runtime, events, open)
}

async fn connect(
    runtime: &Runtime,
    path: &str,
) -> tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>> {
    let url = format!("ws://{}{path}", runtime.http_address().unwrap());
    tokio_tungstenite::connect_async(&url).await.unwrap().0
}

fn code(message: Option<Result<tungstenite::Message, tungstenite::Error>>) -> u16 {
    match message {
        Some(Ok(tungstenite::Message::Close(Some(frame)))) => frame.code.into(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn sockets_of_a_port_speak_the_protocol() {
    let options = HttpOptions::new().max_websocket_message(100_000);
    let (runtime, events, open) = on_a_port(options).await;
    let mut socket = connect(&runtime, "/text").await;
    socket.send(tungstenite::Message::text("x")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), tungstenite::Message::text("x"));
    socket.send(tungstenite::Message::Ping("p".into())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), tungstenite::Message::Pong("p".into()));
    // Even if the client is still sending, it reads why.
    let mut large = connect(&runtime, "/text").await;
    let _ = large.send(tungstenite::Message::text("x".repeat(4_000_000))).await;
    assert_eq!(code(large.next().await), 1009);
    // A text message that is not UTF-8, in a masked frame by hand.
    let mut invalid = connect(&runtime, "/text").await;
    let frame = [0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe];
    let tokio_tungstenite::MaybeTlsStream::Plain(stream) = invalid.get_mut() else {
        unreachable!()
    };
    stream.write_all(&frame).await.unwrap();
    assert_eq!(code(invalid.next().await), 1007);
    let mut reserved = connect(&runtime, "/text").await;
    let tokio_tungstenite::MaybeTlsStream::Plain(stream) = reserved.get_mut() else {
        unreachable!()
    };
    stream.write_all(&[0xf1, 0x80, 0, 0, 0, 0]).await.unwrap();
    assert_eq!(code(reserved.next().await), 1002);
    let ends = async {
        assert_eq!(code(socket.next().await), 1001);
        assert!(socket.next().await.is_none());
    };
    tokio::join!(runtime.shutdown(), ends);
    assert_eq!(open.now(), 0);
    drop(events);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_vanishes_is_given_up() {
    let (runtime, _, open) = on_a_port(HttpOptions::new()).await;
    let mut silent = TcpStream::connect(runtime.http_address().unwrap()).await.unwrap();
    let head = "GET /text HTTP/1.1\r\nhost: here\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    silent.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 1000];
    let length = silent.read(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(text.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{text}");
    let began = Instant::now();
    advance_until(200 * SECOND, "it is closed", || open.now() == 0).await;
    let took = began.elapsed();
    assert!(took >= 59 * SECOND && took < 64 * SECOND, "{took:?}");
    let mut all = Vec::new();
    silent.read_to_end(&mut all).await.unwrap();
    // Two pings, and a close frame.
    assert_eq!(&all[..4], [0x89, 0, 0x89, 0], "{all:?}");
    assert!(all.windows(2).any(|two| two == [0x03, 0xe9]), "{all:?}");
    assert_eq!(sockets(&runtime), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_leaks_whenever_clients_leave() {
    let test = Test::start().await;
    for wait in 0..20 {
        for path in ["/text", "/ours", "/theirs", "/flood", "/rooms/a?greeting=x"] {
            let http = test.runtime.http();
            let opening = http.websocket(path).into_future();
            // Dropped at any point of the handshake or after it.
            let _ = timeout(ms(wait), async {
                let mut opening = std::pin::pin!(opening);
                for _ in 0..wait {
                    if let std::task::Poll::Ready(socket) = futures::poll!(opening.as_mut()) {
                        let socket = socket.unwrap();
                        let _ = socket.send("slow").await;
                        for _ in 0..wait {
                            tokio::task::yield_now().await;
                        }
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    }
    test.nothing_is_left().await;
}
