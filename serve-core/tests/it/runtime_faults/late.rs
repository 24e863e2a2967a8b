//! Methods that compute or block their thread past their deadline. Each caller hears of its deadline
//! before the method ends: the method is let go only after that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use futures::stream;
use parking_lot::Mutex;
use serde_json::json;
use serve_core::prelude::*;
use tokio::runtime::Builder;
use tokio::time::sleep;

fn tokio(workers: usize) -> tokio::runtime::Runtime {
    Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap()
}

/// Blocks a thread until the other end lets it go, or is gone.
#[derive(Clone)]
struct Gate(Arc<Mutex<Receiver<()>>>);

impl Gate {
    fn new() -> (Self, Sender<()>) {
        let (go, gate) = channel();
        (Self(Arc::new(Mutex::new(gate))), go)
    }

    fn wait(&self) {
        let _ = self.0.lock().recv_timeout(Duration::from_secs(60));
    }
}

#[deployment(graceful_shutdown_timeout = "100ms")]
struct Slow(Gate);

#[handle]
impl Slow {
    fn new(gate: Gate) -> Self {
        Self(gate)
    }

    #[get("/compute")]
    pub async fn compute(&self) -> u32 {
        self.0.wait();
        7
    }

    /// Begins to compute on the thread that drives the timers of the runtime.
    #[get("/compute-later")]
    pub async fn compute_later(&self) -> u32 {
        sleep(Duration::from_millis(2)).await;
        self.0.wait();
        7
    }

    #[get("/items")]
    pub fn items(&self) -> impl Stream<Item = u32> + use<> {
        let gate = self.0.clone();
        stream::iter(0..2).map(move |number| {
            if number == 1 {
                gate.wait();
            }
            number
        })
    }

    #[batch(max_batch_size = 2, batch_wait_timeout = "1ms")]
    pub async fn batch(&self, numbers: Vec<u32>) -> Vec<u32> {
        self.0.wait();
        numbers
    }

    #[retry(max = 2)]
    pub async fn again(&self) -> u32 {
        self.0.wait();
        7
    }

    pub async fn take(&self, number: u32) -> u32 {
        number
    }

    pub async fn quick(&self) -> u32 {
        1
    }
}

#[deployment]
struct Outer(SlowHandle);

#[handle]
impl Outer {
    fn new(slow: SlowHandle) -> Self {
        Self(slow)
    }

    /// The deadline is the caller's, and the callee inherits it.
    pub async fn wait(&self) -> Result<u32> {
        Ok(self.0.compute().await?)
    }

    /// The deadline is this call's.
    pub async fn wait_briefly(&self) -> Result<u32> {
        let slow = self.0.options(CallOptions::new().timeout(Duration::from_millis(20)));
        Ok(slow.compute().await?)
    }

    pub async fn slow(&self) -> SlowHandle {
        self.0.clone()
    }
}

struct Test {
    runtime: Runtime,
    outer: OuterHandle,
    /// With a deadline of 20 ms.
    slow: SlowHandle,
    go: Sender<()>,
}

async fn test() -> Test {
    let runtime = Runtime::builder().start().await.unwrap();
    let (gate, go) = Gate::new();
    let outer = runtime.run(Outer::bind(Slow::bind(gate))).await.unwrap();
    let slow = outer.slow().await.unwrap();
    let outer = outer.options(brief());
    Test { runtime, outer, slow: slow.options(brief()), go }
}

fn brief() -> CallOptions {
    CallOptions::new().timeout(Duration::from_millis(20))
}

const LATE: CallError = CallError::DeadlineExceeded;

#[test]
fn every_kind_of_call_ends_at_its_callers_deadline() {
    // With one worker, no thread is left that could drive a timer of the runtime.
    for workers in [1, 2, 4] {
        tokio(workers).block_on(async {
            let Test { outer, slow, go, .. } = test().await;
            let next = || go.send(()).unwrap();
            assert_eq!(slow.compute().await, Err(LATE));
            next();
            assert_eq!(slow.compute_later().await, Err(LATE));
            next();
            assert_eq!(slow.again().await, Err(LATE));
            next();
            assert_eq!(slow.batch(1_u32).await, Err(LATE));
            next();
            assert!(matches!(outer.wait().await, Err(CallError::DeadlineExceeded)));
            next();
            let items: Vec<_> = slow.items().collect().await;
            assert_eq!(items, [Ok(0), Err(LATE)]);
            next();
            let error = slow.compute().object_ref().await.expect_err("it is late");
            assert!(error.to_string().contains("deadline"), "{error}");
            next();
            let error = slow.take(slow.compute()).await.expect_err("its argument is late");
            assert!(error.to_string().contains("deadline"), "{error}");
            next();
            let call = slow.compute();
            let waited = std::thread::spawn(move || call.result()).join().unwrap();
            assert_eq!(waited, Err(LATE));
            next();
            let items = slow.items();
            let items = std::thread::spawn(move || items.blocking_iter().collect::<Vec<_>>());
            assert_eq!(items.join().unwrap(), [Ok(0), Err(LATE)]);
            next();
            // With one worker, the second has not begun.
            let (one, other) = (slow.compute(), slow.compute());
            assert_eq!(futures::join!(one, other), (Err(LATE), Err(LATE)));
            next();
            next();
        });
    }
}

#[test]
fn so_do_calls_by_name() {
    for workers in [1, 3] {
        tokio(workers).block_on(async {
            let runtime = Runtime::builder().start().await.unwrap();
            let (gate, go) = Gate::new();
            let slow = runtime.run_any(Application::new(Slow::bind(gate)).into()).await.unwrap();
            let slow = slow.options(brief());
            let arguments = BTreeMap::new();
            let late: CallError<String> = CallError::DeadlineExceeded;
            let computed: Vec<_> = slow.call("compute", &arguments).unwrap().collect().await;
            assert_eq!(computed, [Err(late.clone())]);
            go.send(()).unwrap();
            let mut items = slow.call("items", &arguments).unwrap();
            assert_eq!(items.next().await, Some(Ok(json!(0))));
            assert_eq!(items.next().await, Some(Err(late)));
            assert_eq!(items.next().await, None);
            go.send(()).unwrap();
        });
    }
}

/// A call in place is a part of its caller's poll, so that nobody can hear of the deadline before the
/// method ends or awaits. But then its caller does.
#[test]
fn a_call_in_place_that_is_late_fails_as_a_task_does() {
    for workers in [2, 4] {
        tokio(workers).block_on(async {
            let runtime = Runtime::builder().in_place(true).start().await.unwrap();
            let (gate, go) = Gate::new();
            let outer = runtime.run(Outer::bind(Slow::bind(gate))).await.unwrap();
            let call = outer.wait_briefly();
            let (_open, never) = channel::<()>();
            assert!(never.recv_timeout(Duration::from_millis(200)).is_err());
            go.send(()).unwrap();
            let Err(CallError::App(error)) = call.await else { panic!("it is late") };
            assert_eq!(error.status(), Some(408), "{error:#}");
        });
    }
}

#[cfg(feature = "http")]
mod over_http {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};

    use super::*;

    /// Sends a request from a thread that does nothing else. Returns the whole response.
    fn request(to: SocketAddr, path: &'static str, timeout: Option<&str>) -> String {
        let timeout = timeout.map(|seconds| format!("x-request-timeout-seconds: {seconds}\r\n"));
        let timeout = timeout.unwrap_or_default();
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{timeout}connection: close\r\n\r\n");
        let send = move || {
            let mut stream = TcpStream::connect(to).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            let mut response = Vec::new();
            // The connection may be cut off.
            let _ = stream.read_to_end(&mut response);
            String::from_utf8_lossy(&response).into_owned()
        };
        std::thread::spawn(send).join().unwrap()
    }

    #[test]
    fn clients_are_answered_at_their_deadline() {
        for workers in [2, 4] {
            let tokio = tokio(workers);
            for timeout in [None, Some("0.02")] {
                let (runtime, go) = tokio.block_on(async {
                    let runtime = Runtime::builder().http(([127, 0, 0, 1], 0)).start();
                    let runtime = runtime.await.unwrap();
                    let (gate, go) = Gate::new();
                    let mut slow = Slow::bind(gate);
                    if timeout.is_none() {
                        slow = slow.request_timeout(Duration::from_millis(20));
                    }
                    drop(runtime.run(slow).await.unwrap());
                    (runtime, go)
                });
                let address = runtime.http_address().unwrap();
                for path in ["/compute", "/compute-later", "/compute"] {
                    let response = request(address, path, timeout);
                    assert!(response.starts_with("HTTP/1.1 408"), "{path}: {response}");
                    go.send(()).unwrap();
                }
                let response = request(address, "/items", timeout);
                assert!(response.starts_with("HTTP/1.1 200"), "{response}");
                go.send(()).unwrap();
                tokio.block_on(runtime.shutdown());
            }
        }
    }
}

/// That the shutdown and the deletion return at all says that they did not wait for the method.
#[test]
fn a_shutdown_does_not_wait_for_a_method_that_never_yields() {
    for workers in [2, 4] {
        for deletes in [true, false] {
            tokio(workers).block_on(async {
                let Test { runtime, slow, go, .. } = test().await;
                let slow = slow.options(CallOptions::new().timeout(Duration::from_secs(3_600)));
                let (call, begun) = (slow.compute_later(), slow.quick());
                assert_eq!(begun.await, Ok(1));
                let (_open, never) = channel::<()>();
                assert!(never.recv_timeout(Duration::from_millis(20)).is_err());
                if deletes {
                    runtime.delete("default").await.unwrap();
                    assert!(runtime.status().applications.is_empty());
                }
                runtime.shutdown().await;
                drop(go);
                drop(call);
            });
        }
    }
}
