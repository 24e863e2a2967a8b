//! Tests of calls over an unreliable lane: frames are delayed, frames of different calls
//! overtake each other, and the lane breaks. Whatever happens, nothing is leaked, and the error
//! of a failed call says truthfully whether the method may have run.
#![allow(unreachable_pub, reason = "a handle has the public methods, and a test no public face")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use parking_lot::Mutex;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio::runtime::Handle as Tokio;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::prelude::*;
use crate::transport::{Accept, Lane, LaneLost, Receive, Transport};

const REPLICAS: usize = 2;
const SLOTS: usize = 2;

/// A transport between two nodes of one process, whose lanes delay and reorder frames, and break.
struct LinkConditions {
    node: Arc<dyn Accept>,
    seed: u64,
    /// The longest time for which a frame is held, in milliseconds.
    delay: u64,
    cut: Arc<Cut>,
}

/// Both directions of a lane, which can be cut at the same time.
#[derive(Default)]
struct Cut {
    is_cut: AtomicBool,
    /// The number of tasks that hold frames.
    queues: AtomicUsize,
    receivers: Mutex<Vec<Weak<dyn Receive>>>,
}

impl Cut {
    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        let receivers = self.receivers.lock().clone();
        for receiver in receivers.iter().filter_map(Weak::upgrade) {
            receiver.lost();
        }
    }
}

impl Transport for LinkConditions {
    fn connect(&self, _: &str, receiver: Weak<dyn Receive>) -> Result<Arc<dyn Lane>, LaneLost> {
        let back = FaultyLane::new(self, 1);
        back.open(receiver);
        let there = FaultyLane::new(self, 2);
        there.open(self.node.accept(back));
        Ok(there)
    }
}

/// A lane that keeps the order of the frames of one call, of one stream and of one object, and
/// no other order.
struct FaultyLane {
    to: OnceLock<Weak<dyn Receive>>,
    cut: Arc<Cut>,
    delay: u64,
    state: Mutex<(SmallRng, HashMap<String, Queue>)>,
}

/// Frames that keep their order, each with the moment at which it arrives.
type Queue = mpsc::UnboundedSender<(Instant, Bytes)>;

impl FaultyLane {
    fn new(conditions: &LinkConditions, direction: u64) -> Arc<Self> {
        Arc::new(Self {
            to: OnceLock::new(),
            cut: Arc::clone(&conditions.cut),
            delay: conditions.delay,
            state: Mutex::new((
                SmallRng::seed_from_u64(conditions.seed ^ direction),
                HashMap::new(),
            )),
        })
    }

    fn open(&self, receiver: Weak<dyn Receive>) {
        self.cut.receivers.lock().push(Weak::clone(&receiver));
        let _ = self.to.set(receiver);
    }
}

impl Lane for FaultyLane {
    fn send(&self, frame: Bytes) -> Result<(), LaneLost> {
        if self.cut.is_cut.load(Ordering::SeqCst) {
            return Err(LaneLost);
        }
        let mut state = self.state.lock();
        let (random, queues) = &mut *state;
        let at = Instant::now() + Duration::from_millis(random.random_range(0..=self.delay));
        let order = crate::transport::order_of(&frame);
        let queue = queues.entry(order).or_insert_with(|| {
            let (queue, mut frames) = mpsc::unbounded_channel::<(Instant, Bytes)>();
            let (cut, to) = (Arc::clone(&self.cut), self.to.get().cloned());
            cut.queues.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                while let Some((at, frame)) = frames.recv().await {
                    sleep_until(at).await;
                    let to = to.as_ref().and_then(Weak::upgrade);
                    match to {
                        Some(to) if !cut.is_cut.load(Ordering::SeqCst) => to.receive(frame),
                        _ => return,
                    }
                }
            });
            queue
        });
        let _ = queue.send((at, frame));
        Ok(())
    }
}

/// The number of times that each call's method began, with which the call's error must agree.
#[derive(Default)]
struct Ledger(Mutex<HashMap<u64, usize>>);

impl Ledger {
    fn begun(&self, id: u64) {
        *self.0.lock().entry(id).or_default() += 1;
    }

    /// Checks what must hold for a call, however it ended. If the lane was cut, the caller cannot
    /// know whether a frame arrived, and the error may only say that the method may have run.
    fn check<T, E: std::fmt::Debug>(
        &self,
        (id, most, was_cut): (u64, usize, bool),
        outcome: &Result<T, CallError<E>>,
    ) {
        let times = self.0.lock().get(&id).copied().unwrap_or_default();
        assert!(times <= most, "call {id} ran {times} times, of at most {most}");
        let Err(error) = outcome else {
            assert!(times > 0, "call {id} has a result and never ran");
            return;
        };
        assert!(error.may_have_run() || times == 0, "call {id} ran: {error:?}");
        match error {
            CallError::Unavailable { started, .. } if !was_cut => {
                assert_eq!(*started, times > 0, "call {id} ran {times} times: {error:?}");
            }
            CallError::Unavailable { .. }
            | CallError::Cancelled
            | CallError::DeadlineExceeded
            | CallError::Overloaded { .. } => {}
            CallError::App(_) | CallError::Transport(_) | CallError::ObjectLost if was_cut => {}
            other => panic!("call {id} was not to fail so: {other:?}"),
        }
    }
}

#[deployment]
struct Worker(Arc<Ledger>);

#[handle]
impl Worker {
    fn new(ledger: Arc<Ledger>) -> Self {
        Self(ledger)
    }

    pub async fn work(&self, id: u64, ms: u64) -> u64 {
        self.0.begun(id);
        sleep(Duration::from_millis(ms)).await;
        ms
    }

    #[retry(max = 2)]
    pub async fn again(&self, id: u64, ms: u64) -> u64 {
        self.work(id, ms).await
    }

    pub fn items(&self, id: u64, ms: u64) -> impl Stream<Item = u64> {
        self.0.begun(id);
        stream::iter(0..40).then(move |item| async move {
            sleep(Duration::from_millis(ms / 8)).await;
            item
        })
    }

    #[batch(max_batch_size = 3, batch_wait_timeout = "4ms")]
    pub async fn together(&self, ids: Vec<u64>, ms: Vec<u64>) -> Vec<u64> {
        ids.iter().for_each(|id| self.0.begun(*id));
        sleep(Duration::from_millis(ms.iter().copied().max().unwrap_or_default())).await;
        ms
    }

    pub async fn sum(
        &self,
        id: u64,
        numbers: InputStream<u64>,
        more: ObjectRef<u64>,
    ) -> Result<u64> {
        self.0.begun(id);
        let sum = numbers.try_fold(0, |sum, number| async move { Ok(sum + number) }).await?;
        Ok(sum + more.await?)
    }

    pub async fn make(&self, id: u64) -> ObjectRef<u64> {
        self.0.begun(id);
        ObjectRef::put(id)
    }
}

/// One call of a random program.
#[derive(Clone, Debug)]
struct Step {
    kind: u8,
    ms: u64,
    /// The milliseconds after which the response is dropped.
    patience: Option<u64>,
    timeout: Option<u64>,
    /// The milliseconds until the next step.
    pause: u64,
    kill: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let some = |n| prop::option::weighted(0.25, 0_u64..n);
    (0_u8..8, 0_u64..12, some(15), some(15), 0_u64..6, prop::bool::weighted(0.15)).prop_map(
        |(kind, ms, patience, timeout, pause, kill)| Step {
            kind,
            ms,
            patience,
            timeout,
            pause,
            kill,
        },
    )
}

struct Program {
    runtime: MockRuntime,
    worker: WorkerHandle,
    ledger: Arc<Ledger>,
    cut: Arc<Cut>,
    tasks: JoinSet<()>,
}

impl Program {
    async fn start(seed: u64, delay: u64) -> Self {
        let cut = Arc::<Cut>::default();
        let shared_cut = Arc::clone(&cut);
        let runtime = MockRuntime::builder().seed(seed).start_over(move |node| {
            Arc::new(LinkConditions { node, seed, delay, cut: shared_cut })
        });
        let ledger = Arc::<Ledger>::default();
        let worker = Worker::bind(Arc::clone(&ledger))
            .num_replicas(REPLICAS)
            .max_ongoing_requests(SLOTS)
            .max_queued_requests(6);
        let worker = runtime.run(worker).await.expect("it starts");
        Self { runtime, worker, ledger, cut, tasks: JoinSet::new() }
    }

    fn call(&mut self, id: u64, step: &Step) {
        let mut worker = self.worker.clone();
        if let Some(ms) = step.timeout {
            worker = worker.options(CallOptions::new().timeout(Duration::from_millis(ms)));
        }
        let (ledger, cut, ms) = (Arc::clone(&self.ledger), Arc::clone(&self.cut), step.ms);
        let patience = Duration::from_millis(step.patience.unwrap_or(3_600_000));
        macro_rules! see {
            ($most:expr, $call:expr) => {{
                let call = $call;
                self.tasks.spawn(async move {
                    if let Ok(outcome) = timeout(patience, call).await {
                        let was_cut = cut.is_cut.load(Ordering::SeqCst);
                        ledger.check((id, $most, was_cut), &outcome);
                    }
                });
            }};
        }
        match step.kind {
            0 => see!(1, worker.work(id, ms)),
            1 => see!(3, worker.again(id, ms)),
            2 => see!(1, worker.items(id, ms).try_collect::<Vec<_>>()),
            3 | 4 => see!(1, worker.together(id, ms)),
            5 => {
                let numbers = stream::iter(0..ms);
                see!(1, worker.sum(id, numbers, ObjectRef::put(ms)));
            }
            6 => see!(1, async move {
                let object = worker.make(id).await?;
                match object.await {
                    Ok(value) => assert_eq!(value, id),
                    Err(error) => assert_eq!(error, CallError::ObjectLost),
                }
                Ok::<_, CallError>(())
            }),
            _ => {
                // Runs unattended, and ends by itself.
                worker.work(id, ms).detach();
            }
        }
    }

    async fn run(mut self, steps: &[Step], cut_at: Option<usize>) {
        let idle = alive();
        for (number, step) in steps.iter().enumerate() {
            if cut_at == Some(number) {
                self.cut.cut();
            }
            self.call(number as u64, step);
            yield_now().await;
            if step.kill {
                self.runtime.kill_replica::<Worker>(number % REPLICAS);
            }
            sleep(Duration::from_millis(step.pause)).await;
        }
        let ended = timeout(Duration::from_secs(3_600), self.tasks.join_all()).await;
        assert!(ended.is_ok(), "a call never ended");
        sleep(Duration::from_secs(600)).await;
        let status = self.runtime.status();
        let deployment = &status.applications["default"].deployments["Worker"];
        assert_eq!((deployment.ongoing, deployment.queued), (0, 0), "a slot was leaked");
        assert!(self.runtime.lane_is_idle(), "an end keeps something of a call that is over");
        let queues = self.cut.queues.load(Ordering::SeqCst);
        assert!(alive() <= idle + queues, "a task was left behind");
    }
}

fn alive() -> usize {
    Tokio::current().metrics().num_alive_tasks()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn on_any_link_calls_end_and_tell_the_truth(
        seed in any::<u64>(),
        delay in 0_u64..8,
        steps in prop::collection::vec(step(), 1..40),
        cut_at in prop::option::weighted(0.4, 0_usize..40),
    ) {
        let mut tokio = tokio::runtime::Builder::new_current_thread();
        let tokio = tokio.enable_time().start_paused(true).build().expect("a runtime builds");
        tokio.block_on(async {
            Program::start(seed, delay).await.run(&steps, cut_at).await;
        });
    }
}

#[tokio::test(start_paused = true)]
async fn the_other_end_answers_until_the_lane_is_lost() {
    let program = Program::start(1, 5).await;
    assert_eq!(program.runtime.ping().await, Ok(()));
    program.cut.cut();
    assert_eq!(program.runtime.ping().await, Err(LaneLost));
}
