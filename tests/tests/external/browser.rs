//! A headless Chromium, driven by its DevTools protocol.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use serve_core::futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// The time after which a silent browser counts as stuck. Its first start on a slow machine takes a
/// while.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page. It ends when it is dropped.
pub(crate) struct Browser {
    program: Child,
    directory: PathBuf,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The number of commands so far.
    commands: u64,
    /// The session of the page; empty until there is one.
    session: String,
    /// The errors that the page has caused: of its scripts, and of its security policy.
    complaints: Vec<String>,
}

impl Browser {
    /// Starts a browser, and opens a page once its script has run.
    pub(crate) async fn open(url: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("serve-chromium-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("a directory");
        let mut program = Command::new("chromium")
            .args(["--headless=new", "--remote-debugging-port=0", "--no-first-run"])
            // In a container: as root, and with little shared memory.
            .args(["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"])
            .arg(format!("--user-data-dir={}", directory.display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("chromium, which .ci/run installs: {error}"));
        let mut lines = BufReader::new(program.stderr.take().expect("it is piped")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("DevTools listening on ").map(str::to_owned))
            .expect("chromium says where it listens");
        // A browser whose pipe is full would wait.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let (socket, _) = tokio_tungstenite::connect_async(address).await.expect("a connection");
        let (session, complaints) = (String::new(), Vec::new());
        let mut browser = Self { program, directory, socket, commands: 0, session, complaints };
        browser.open_page(url).await;
        browser
    }

    async fn open_page(&mut self, url: &str) {
        let page = self.command("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = self.command("Target.attachToTarget", attach).await;
        self.session = attached["sessionId"].as_str().expect("a session").to_owned();
        for domain in ["Runtime", "Log", "Page"] {
            self.command(&format!("{domain}.enable"), json!({})).await;
        }
        self.command("Page.navigate", json!({ "url": url })).await;
        self.until(&format!(
            "location.href === {} && document.readyState === 'complete'",
            json!(url)
        ))
        .await;
    }

    /// Lets the page use the clipboard.
    pub(crate) async fn allow_clipboard(&mut self) {
        let permissions =
            json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
        self.command("Browser.grantPermissions", permissions).await;
        self.command("Page.bringToFront", json!({})).await;
    }

    /// Sends a command of the protocol, and returns its result.
    async fn command(&mut self, method: &str, params: Value) -> Value {
        self.commands += 1;
        let id = self.commands;
        let mut command = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() && !method.starts_with("Target.") {
            command["sessionId"] = self.session.clone().into();
        }
        self.socket.send(Message::text(command.to_string())).await.expect("it is sent");
        loop {
            let next = timeout(PATIENCE, self.socket.next()).await;
            let message = next.expect("chromium answers").expect("chromium runs");
            let Message::Text(text) = message.expect("a message") else { continue };
            let mut message: Value = serde_json::from_str(&text).expect("JSON");
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            self.note(&message);
        }
    }

    fn note(&mut self, event: &Value) {
        let entry = &event["params"]["entry"];
        let is_complaint = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            // A request that is answered with 404 is an error of the network.
            Some("Log.entryAdded") => entry["level"] == "error" && entry["source"] != "network",
            _ => false,
        };
        if is_complaint {
            self.complaints.push(event["params"].to_string());
        }
    }

    /// Returns the value of a JavaScript expression, or what it resolves to.
    pub(crate) async fn value(&mut self, expression: &str) -> Value {
        let params = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true,
            "userGesture": true,
        });
        let mut answer = self.command("Runtime.evaluate", params).await;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Returns the text that a JavaScript expression stands for.
    pub(crate) async fn text(&mut self, expression: &str) -> String {
        let value = self.value(expression).await;
        value.as_str().unwrap_or_else(|| panic!("{expression} is no text: {value}")).to_owned()
    }

    /// Runs a JavaScript statement.
    pub(crate) async fn run(&mut self, statement: &str) {
        self.value(&format!("{{ {statement} }}")).await;
    }

    /// Waits until a JavaScript expression is true.
    pub(crate) async fn until(&mut self, expression: &str) {
        // Navigation may end an expression that waits in the page.
        let waiting = async {
            while self.value(&format!("Boolean({expression})")).await != true {
                tokio::task::yield_now().await;
            }
        };
        let waited = timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "{expression}: not in time");
    }

    /// Checks that no script of the page has failed, and that nothing was forbidden to it.
    pub(crate) fn assert_content(&self) {
        assert!(self.complaints.is_empty(), "{:#?}", self.complaints);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}
