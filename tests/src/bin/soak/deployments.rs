//! The deployments under load. Each has gauges in its methods, and each method gets the number of
//! the operation that it runs for; 0 for a call that is a part of another operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use serve_core::axum::Router;
use serve_core::axum::body::Body;
use serve_core::axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use serve_core::axum::extract::{Path, State};
use serve_core::axum::http::StatusCode;
use serve_core::axum::response::Response as HttpResponse;
use serve_core::axum::routing::{any, put};
use serve_core::futures::{future, stream};
use serve_core::prelude::*;
use tokio::time::sleep;

use crate::gauges::{Entered, Instance, ran};
use crate::ledger::fault;

/// What the message of each panic and error begins with that the load asks for.
pub const ASKED_FOR: &str = "soak: ";

/// A version of a deployment: another number is another version.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    pub number: u64,
    pub start: Start,
}

/// What the constructor of a version does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Start {
    /// Succeeds, after so many milliseconds.
    In(u64),
    Fails,
    Panics,
}

impl Version {
    pub const fn good(number: u64) -> Self {
        Self { number, start: Start::In(0) }
    }

    /// The instance of this version, if its constructor succeeds.
    async fn start(self, what: &'static str, limit: usize) -> Result<Instance> {
        // First, so that what a constructor leaves behind is missed, too.
        let instance = Instance::new(what, limit);
        match self.start {
            Start::In(0) => Ok(instance),
            Start::In(time) => {
                sleep(ms(time)).await;
                Ok(instance)
            }
            Start::Fails => {
                sleep(ms(1)).await;
                Err(Error::msg(format!("{ASKED_FOR}this version does not start")))
            }
            Start::Panics => panic!("{ASKED_FOR}this version panics"),
        }
    }
}

/// A user config.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    pub number: u32,
    pub taken: bool,
    pub takes_ms: u64,
}

/// How a call is to end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum End {
    Answer,
    Fail,
    Panic,
}

impl End {
    fn of(self, number: u64) -> Result<u64> {
        match self {
            Self::Answer => Ok(number),
            Self::Fail => Err(Error::msg(format!("{ASKED_FOR}the call fails")).with_status(418)),
            Self::Panic => panic!("{ASKED_FOR}the call panics"),
        }
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The numbers below `count`, one each `pause_ms`. The call is inside until the stream is dropped.
fn numbers(entered: Entered, count: u64, pause_ms: u64) -> impl Stream<Item = u64> + Send {
    stream::unfold((0, entered), move |(next, entered)| async move {
        if pause_ms > 0 {
            sleep(ms(pause_ms)).await;
        }
        (next < count).then_some((next, (next + 1, entered)))
    })
}

/// The slots of a [`Worker`], and at most so many with other options.
pub const WORKER_SLOTS: usize = 8;

/// Does all that a plain deployment can do.
#[deployment(
    num_replicas = 2,
    max_ongoing_requests = 8,
    max_queued_requests = 64,
    health_check_period = "200ms",
    health_check_timeout = "2s",
    graceful_shutdown_timeout = "2s"
)]
pub struct Worker {
    instance: Instance,
    config: AtomicU32,
    sick: AtomicBool,
}

#[handle]
impl Worker {
    pub async fn new(version: Version) -> Result<Self> {
        let instance = version.start("Worker", WORKER_SLOTS).await?;
        Ok(Self { instance, config: AtomicU32::new(0), sick: AtomicBool::new(false) })
    }

    pub async fn quick(&self, number: u64) -> u64 {
        let _entered = self.instance.enter(number);
        number
    }

    pub async fn work(&self, number: u64, time: u64, end: End) -> Result<u64> {
        let _entered = self.instance.enter(number);
        sleep(ms(time)).await;
        end.of(number)
    }

    /// Called with the result of another call.
    pub async fn after(&self, number: u64, input: u64) -> u64 {
        let _entered = self.instance.enter(number);
        sleep(ms(input % 3)).await;
        number
    }

    /// Called with references to the results of other calls.
    pub async fn by_reference(&self, number: u64, inputs: Vec<ObjectRef<u64>>) -> Result<u64> {
        let _entered = self.instance.enter(number);
        for input in inputs {
            input.get().await?;
        }
        Ok(number)
    }

    #[retry(max = 2)]
    pub async fn retried(&self, number: u64, time: u64) -> u64 {
        let _entered = self.instance.enter(number);
        sleep(ms(time)).await;
        number
    }

    pub fn items(&self, number: u64, count: u64, pause: u64) -> impl Stream<Item = u64> {
        numbers(self.instance.enter(number), count, pause)
    }

    pub async fn sum(&self, number: u64, mut items: InputStream<u64>) -> Result<u64> {
        let _entered = self.instance.enter(number);
        let mut sum = 0;
        while let Some(item) = items.next().await {
            sum += item?;
        }
        Ok(sum)
    }

    pub fn echo(&self, number: u64, items: InputStream<u64>) -> impl Stream<Item = Result<u64>> {
        let entered = self.instance.enter(number);
        items.map(move |item| {
            let _inside = &entered;
            Ok(item?)
        })
    }

    #[blocking]
    pub fn compute(&self, number: u64, time: u64) -> u64 {
        let _entered = self.instance.enter(number);
        thread::park_timeout(Duration::from_micros(time));
        number
    }

    #[blocking]
    pub fn generate(&self, number: u64, count: u64) -> impl Iterator<Item = u64> {
        let entered = self.instance.enter(number);
        (0..count).inspect(move |_| {
            let _inside = &entered;
            thread::park_timeout(Duration::from_micros(100));
        })
    }

    /// Makes the replica fail its health checks from now on.
    pub async fn sicken(&self, number: u64) -> u64 {
        let _entered = self.instance.enter(number);
        self.sick.store(true, Ordering::Relaxed);
        number
    }

    #[reconfigure]
    async fn configure(&self, config: Config) -> Result<()> {
        sleep(ms(config.takes_ms)).await;
        if !config.taken {
            return Err(Error::msg(format!("{ASKED_FOR}the config is refused")));
        }
        self.config.store(config.number, Ordering::Relaxed);
        Ok(())
    }

    #[check_health]
    async fn check(&self) -> Result<()> {
        match self.sick.load(Ordering::Relaxed) {
            true => Err(Error::msg(format!("{ASKED_FOR}it is sick"))),
            false => Ok(()),
        }
    }

    #[shutdown]
    async fn close(&self) {
        sleep(ms(1)).await;
    }
}

/// The largest batch of a [`Batcher`].
const BATCH: usize = 8;

/// Serves batches.
#[deployment(num_replicas = 2, max_ongoing_requests = 32, graceful_shutdown_timeout = "2s")]
pub struct Batcher {
    _instance: Instance,
    doubles: Instance,
    crunches: Instance,
}

#[handle]
impl Batcher {
    pub async fn new(version: Version) -> Result<Self> {
        let _instance = version.start("Batcher", 0).await?;
        let [doubles, crunches] = ["batches", "blocking batches"].map(|it| Instance::new(it, 2));
        Ok(Self { _instance, doubles, crunches })
    }

    #[batch(max_batch_size = 8, batch_wait_timeout = "2ms", max_concurrent_batches = 2)]
    pub async fn double(&self, numbers: Vec<u64>, fail: Vec<bool>) -> Vec<Result<u64>> {
        let _entered = self.doubles.enter(0);
        check_batch(&numbers);
        sleep(ms(2)).await;
        let ends = fail.iter().map(|fail| if *fail { End::Fail } else { End::Answer });
        ends.zip(numbers).map(|(end, number)| end.of(number)).collect()
    }

    #[blocking]
    #[batch(max_batch_size = 8, batch_wait_timeout = "0ms", max_concurrent_batches = 2)]
    pub fn crunch(&self, numbers: Vec<u64>) -> Vec<u64> {
        let _entered = self.crunches.enter(0);
        check_batch(&numbers);
        thread::park_timeout(ms(1));
        numbers
    }

    /// The numbers below `to`.
    #[batch(max_batch_size = 8, batch_wait_timeout = "2ms", max_concurrent_batches = 2)]
    pub fn count(&self, numbers: Vec<u64>, to: Vec<u64>) -> impl Stream<Item = Vec<Option<u64>>> {
        check_batch(&numbers);
        let most = to.iter().copied().max().unwrap_or(0);
        stream::iter(0..most)
            .map(move |next| to.iter().map(|to| (next < *to).then_some(next)).collect())
    }
}

fn check_batch(numbers: &[u64]) {
    numbers.iter().copied().for_each(ran);
    if numbers.len() > BATCH {
        fault(format!("a batch of {}, of at most {BATCH}", numbers.len()));
    }
}

/// An actor, in an application and outside.
#[deployment(max_queued_requests = 64, graceful_shutdown_timeout = "2s")]
pub struct Counter {
    instance: Instance,
    sum: u64,
}

#[handle]
impl Counter {
    pub async fn new(version: Version) -> Result<Self> {
        Ok(Self { instance: version.start("Counter", 1).await?, sum: 0 })
    }

    pub async fn add(&mut self, number: u64, time: u64) -> u64 {
        let _entered = self.instance.enter(number);
        self.sum += 1;
        if time > 0 {
            sleep(ms(time)).await;
        }
        number
    }

    pub async fn sum(&self, number: u64) -> u64 {
        let _entered = self.instance.enter(number);
        self.sum
    }
}

/// The id of a model that does not load.
pub const BROKEN_MODEL: &str = "broken";

/// A model, which is counted.
pub struct Model(#[expect(dead_code, reason = "it is counted until it is dropped")] Instance);

async fn load(id: String) -> Result<Model> {
    let model = Model(Instance::new("model", 0));
    sleep(ms(2)).await;
    if id == BROKEN_MODEL {
        return Err(Error::msg(format!("{ASKED_FOR}the model does not load")));
    }
    Ok(model)
}

/// Has more models than fit.
#[deployment(num_replicas = 2, max_ongoing_requests = 8, graceful_shutdown_timeout = "2s")]
pub struct Models {
    instance: Instance,
    models: Multiplexed<Model>,
}

#[handle]
impl Models {
    pub async fn new(version: Version) -> Result<Self> {
        let instance = version.start("Models", 8).await?;
        Ok(Self { instance, models: Multiplexed::new(2, load) })
    }

    pub async fn infer(&self, number: u64) -> Result<u64> {
        let _entered = self.instance.enter(number);
        let model = self.models.current().await?;
        sleep(ms(1)).await;
        drop(model);
        Ok(number)
    }
}

/// Scales to zero and back.
#[deployment(
    max_ongoing_requests = 4,
    graceful_shutdown_timeout = "2s",
    autoscaling(
        min_replicas = 0,
        max_replicas = 3,
        target_ongoing_requests = 2,
        upscale_delay = "50ms",
        downscale_delay = "150ms",
        look_back_period = "100ms",
    )
)]
pub struct Zero {
    instance: Instance,
}

#[handle]
impl Zero {
    pub async fn new(version: Version) -> Result<Self> {
        Ok(Self { instance: version.start("Zero", 4).await? })
    }

    #[get("/nap")]
    pub async fn nap(&self, number: u64, time: u64) -> u64 {
        let _entered = self.instance.enter(number);
        sleep(ms(time)).await;
        number
    }
}

/// The callee of an application that comes and goes.
#[deployment(num_replicas = 2, max_ongoing_requests = 4, graceful_shutdown_timeout = "2s")]
pub struct Leaf {
    instance: Instance,
}

#[handle]
impl Leaf {
    pub async fn new(version: Version) -> Result<Self> {
        Ok(Self { instance: version.start("Leaf", 4).await? })
    }

    pub async fn work(&self, number: u64, time: u64) -> u64 {
        let _entered = self.instance.enter(number);
        sleep(ms(time)).await;
        number
    }
}

/// The ingress of an application that comes and goes.
#[deployment(graceful_shutdown_timeout = "2s")]
pub struct Churn {
    instance: Instance,
    leaf: LeafHandle,
}

#[handle]
impl Churn {
    pub async fn new(version: Version, leaf: LeafHandle) -> Result<Self> {
        Ok(Self { instance: version.start("Churn", 100).await?, leaf })
    }

    #[get("/work")]
    pub async fn work(&self, number: u64, time: u64) -> Result<u64> {
        let _entered = self.instance.enter(number);
        self.leaf.work(0u64, time).await?;
        Ok(number)
    }
}

/// The ingress of the application that stays: calls the others, and has the HTTP endpoints.
#[deployment(
    num_replicas = 2,
    max_ongoing_requests = 48,
    max_queued_requests = 64,
    graceful_shutdown_timeout = "3s"
)]
pub struct Front {
    instance: Instance,
    worker: WorkerHandle,
    batcher: BatcherHandle,
    counter: CounterHandle,
}

#[handle]
impl Front {
    pub async fn new(
        version: Version,
        worker: WorkerHandle,
        batcher: BatcherHandle,
        counter: CounterHandle,
        models: ModelsHandle,
    ) -> Result<Self> {
        // It is a part of the graph, and called from outside alone.
        drop(models);
        let instance = version.start("Front", 48).await?;
        Ok(Self { instance, worker, batcher, counter })
    }

    /// Calls nothing else.
    #[get("/work")]
    pub async fn work(&self, number: u64, time: u64, end: Option<End>) -> Result<u64> {
        let _entered = self.instance.enter(number);
        sleep(ms(time)).await;
        end.unwrap_or(End::Answer).of(number)
    }

    /// Calls all others, one after the other and at the same time.
    #[post("/chain")]
    pub async fn chain(&self, number: u64, time: u64) -> Result<u64> {
        let _entered = self.instance.enter(number);
        self.worker.quick(0).await?;
        let worked = self.worker.work(0u64, time, End::Answer);
        let after = self.worker.after(0u64, worked);
        let double = self.batcher.double(0u64, false);
        let count = self.counter.add(0u64, 0u64);
        let _ = future::try_join3(
            async { after.await.map_err(Error::from) },
            async { double.await.map_err(Error::from) },
            async { count.await.map_err(Error::from) },
        )
        .await?;
        Ok(number)
    }

    /// Blocks its thread for another call.
    #[get("/waits")]
    #[blocking]
    pub fn waits(&self, number: u64) -> Result<u64> {
        let _entered = self.instance.enter(number);
        self.worker.compute(0u64, 100u64).result()?;
        Ok(number)
    }

    /// Takes a body as one value.
    #[put("/bytes", body = bytes, max_body = "1MiB")]
    pub async fn bytes(&self, number: u64, bytes: Bytes) -> usize {
        let _entered = self.instance.enter(number);
        bytes.len()
    }

    /// A stream of its own.
    #[get("/events")]
    pub fn events(&self, number: u64, count: u64, pause: u64) -> impl Stream<Item = u64> {
        numbers(self.instance.enter(number), count, pause)
    }

    /// The stream of another deployment.
    #[get("/relayed")]
    pub fn relayed(&self, number: u64, count: u64) -> impl Stream<Item = Result<u64>> {
        let entered = self.instance.enter(number);
        self.worker.items(0u64, count, 1u64).map(move |item| {
            let _inside = &entered;
            Ok(item?)
        })
    }

    /// More than any client reads.
    #[get("/flood")]
    pub fn flood(&self, number: u64) -> impl Stream<Item = Bytes> {
        let entered = self.instance.enter(number);
        stream::repeat(Bytes::from_static(&[b'x'; 16 * 1024])).map(move |bytes| {
            let _inside = &entered;
            bytes
        })
    }

    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        Router::new()
            .route("/upload/{number}", put(upload))
            .route("/socket/{number}", any(socket))
            .with_state(self)
    }
}

/// Takes a body piece by piece, and answers with its length.
async fn upload(
    State(front): State<Arc<Front>>,
    Path(number): Path<u64>,
    body: Body,
) -> Result<String, StatusCode> {
    let _entered = front.instance.enter(number);
    let mut length = 0;
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        length += piece.map_err(|_| StatusCode::BAD_REQUEST)?.len();
    }
    Ok(length.to_string())
}

async fn socket(
    State(front): State<Arc<Front>>,
    Path(number): Path<u64>,
    upgrade: WebSocketUpgrade,
) -> HttpResponse {
    upgrade.on_upgrade(move |socket| async move { echo(socket, &front, number).await })
}

/// Answers each message with itself, after a call.
async fn echo(mut socket: WebSocket, front: &Front, number: u64) {
    let _entered = front.instance.enter(number);
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else { continue };
        let answer = match front.worker.quick(0).await {
            Ok(_) => Message::Text(text),
            Err(error) => Message::text(format!("error: {error}")),
        };
        if socket.send(answer).await.is_err() {
            return;
        }
    }
}

/// A stateless function.
#[task]
pub async fn shorten(number: u64) -> u64 {
    ran(number);
    number
}
