//! The fuzz targets of what other processes send: values in MessagePack, and frames. `fuzz/` has
//! those of HTTP, and says how to run them all.
#![allow(unreachable_pub, reason = "a handle has the public methods, and a test no public face")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use self::shapes::{
    Adjacent, External, Flat, Internal, Link, Named, Never, Newtype, Pair, Tree, Unit, Untagged,
};
use crate::call::Payload;
use crate::deployment::Anywhere;
use crate::prelude::*;
use crate::transport::{Accept, Lane, LaneLost, Receive, Transport, is_frame};

#[path = "../../../fuzz/src/shapes.rs"]
mod shapes;

/// A value of every type that serde treats in a way of its own.
#[derive(Debug, Deserialize, Serialize)]
struct Zoo {
    options: Option<Option<Option<u8>>>,
    unit: Option<Option<Unit>>,
    numbers: (i8, u16, i32, u64, i128, u128, f32, f64),
    text: Option<(char, String)>,
    bytes: Option<Bytes>,
    address: Option<std::net::IpAddr>,
    keys: BTreeMap<Option<Option<i8>>, Option<()>>,
    array: [Newtype<Option<bool>>; 2],
    next: Option<Option<Box<Zoo>>>,
}

/// Reads a value of each type from bytes. What can be read can be written, and is then read as the
/// same value.
pub fn values(data: &[u8]) {
    let Some((at, bytes)) = data.split_first() else { return };
    const TYPES: [fn(&[u8]); 19] = [
        value::<Zoo>,
        value::<Value>,
        value::<Tree>,
        value::<Link>,
        value::<Never>,
        value::<Pair>,
        value::<Named>,
        value::<External>,
        value::<Internal>,
        value::<Adjacent>,
        value::<Untagged>,
        value::<Flat>,
        value::<Vec<Option<Link>>>,
        value::<Option<Newtype<Newtype<Option<Unit>>>>>,
        value::<Vec<u8>>,
        value::<Vec<()>>,
        value::<BTreeMap<String, Vec<External>>>,
        value::<(Duration, Result<u8, String>, std::ops::Range<i16>)>,
        value::<String>,
    ];
    TYPES[usize::from(*at) % TYPES.len()](bytes);
}

fn value<T: Serialize + DeserializeOwned + Debug + Send + 'static>(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let read = |bytes| Payload { bytes, attachments: Vec::new() }.read::<Anywhere, T>(None);
    let Ok(first) = read(bytes) else { return };
    let written = Payload::of::<Anywhere, T>(&first).expect("what was read can be written");
    let second = read(written.bytes.clone()).expect("what was written can be read");
    // Not by `PartialEq`, for which NaN is not itself.
    assert_eq!(format!("{second:?}"), format!("{first:?}"));
    let again = Payload::of::<Anywhere, T>(&second).expect("it was written before");
    assert_eq!(again.bytes, written.bytes);
}

#[deployment]
struct Worker;

#[handle]
impl Worker {
    fn new() -> Self {
        Self
    }

    pub async fn echo(&self, value: Named) -> Named {
        sleep(Duration::from_millis(1)).await;
        value
    }

    pub async fn fail(&self, text: String) -> Result<(), String> {
        Err(text)
    }

    pub fn items(&self, to: u64) -> impl Stream<Item = u64> {
        stream::iter(0..to)
    }

    pub async fn sum(&self, numbers: InputStream<u64>, more: ObjectRef<u64>) -> Result<u64> {
        let sum = numbers
            .try_fold(0_u64, |sum, number| async move { Ok(sum.wrapping_add(number)) })
            .await?;
        Ok(sum.wrapping_add(more.await?))
    }

    pub async fn make(&self, value: u64) -> ObjectRef<u64> {
        ObjectRef::put(value)
    }
}

/// A lane between two ends, at which the fuzzer sits: it keeps all frames, may drop them, and sends
/// others.
#[derive(Default)]
struct Tap {
    ends: Mutex<Vec<Weak<dyn Receive>>>,
    /// The frames that were sent, each with the end that it was sent to.
    sent: Mutex<Vec<(usize, Bytes)>>,
    /// The number of frames that are dropped next.
    dropping: Mutex<u8>,
}

impl Tap {
    fn deliver(&self, to: usize, frame: Bytes) {
        let receiver = self.ends.lock().get(to).and_then(Weak::upgrade);
        if let Some(receiver) = receiver {
            receiver.receive(frame);
        }
    }

    fn lose(&self) {
        let ends = std::mem::take(&mut *self.ends.lock());
        for end in ends.iter().filter_map(Weak::upgrade) {
            end.lost();
        }
    }
}

struct TappedTransport(Arc<dyn Accept>, Arc<Tap>);

struct TappedLane {
    tap: Arc<Tap>,
    to: OnceLock<usize>,
}

impl TappedLane {
    fn new(tap: &Arc<Tap>) -> Arc<Self> {
        Arc::new(Self { tap: Arc::clone(tap), to: OnceLock::new() })
    }

    fn open(&self, receiver: Weak<dyn Receive>) {
        let mut ends = self.tap.ends.lock();
        let _ = self.to.set(ends.len());
        ends.push(receiver);
    }
}

impl Transport for TappedTransport {
    fn connect(&self, _: &str, receiver: Weak<dyn Receive>) -> Result<Arc<dyn Lane>, LaneLost> {
        let back = TappedLane::new(&self.1);
        back.open(receiver);
        let there = TappedLane::new(&self.1);
        there.open(self.0.accept(back));
        Ok(there)
    }
}

impl Lane for TappedLane {
    fn send(&self, frame: Bytes) -> Result<(), LaneLost> {
        let to = *self.to.get().expect("a lane is open before anything is sent");
        if self.tap.ends.lock().is_empty() {
            return Err(LaneLost);
        }
        assert!(is_frame(&frame), "an end sends frames");
        self.tap.sent.lock().push((to, frame.clone()));
        {
            let mut dropping = self.tap.dropping.lock();
            if let Some(less) = dropping.checked_sub(1) {
                *dropping = less;
                return Ok(());
            }
        }
        self.tap.deliver(to, frame);
        Ok(())
    }
}

/// A runtime whose calls of a worker cross a lane with a tap.
async fn tapped() -> (MockRuntime, WorkerHandle, Arc<Tap>) {
    let tap = Arc::<Tap>::default();
    let shared = Arc::clone(&tap);
    let runtime =
        MockRuntime::builder().start_over(move |node| Arc::new(TappedTransport(node, shared)));
    let worker = runtime.run(Worker::bind()).await.expect("it starts");
    (runtime, worker, tap)
}

/// Runs a program of calls over a lane on which frames are lost, repeated, changed and made up.
/// Nothing panics, every call ends once the lane is lost, and then no slot is taken.
pub fn frames(data: &[u8]) {
    let mut tokio = tokio::runtime::Builder::new_current_thread();
    let tokio = tokio.enable_time().start_paused(true).build().expect("tokio starts");
    tokio.block_on(async {
        let (runtime, worker, tap) = tapped().await;
        let mut calls = JoinSet::new();
        let mut rest = data;
        while let Some((step, after)) = rest.split_first() {
            rest = after;
            run_step(*step, &mut rest, &tap, &worker, &mut calls).await;
        }
        yield_now().await;
        tap.lose();
        let ended = timeout(Duration::from_secs(3_600), calls.join_all()).await;
        assert!(ended.is_ok(), "a call never ended");
        sleep(Duration::from_secs(600)).await;
        let status = runtime.status();
        let deployment = &status.applications["default"].deployments["Worker"];
        assert_eq!((deployment.ongoing, deployment.queued), (0, 0), "a slot was leaked");
    });
}

/// Takes the first `length` bytes.
fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, after) = rest.split_at(length.min(rest.len()));
    *rest = after;
    taken
}

async fn run_step(
    step: u8,
    rest: &mut &[u8],
    tap: &Arc<Tap>,
    worker: &WorkerHandle,
    calls: &mut JoinSet<()>,
) {
    let byte = |rest: &mut &[u8]| take(rest, 1).first().copied().unwrap_or_default();
    match step % 12 {
        0 => {
            let text = Some(String::from_utf8_lossy(take(rest, 8)).into_owned());
            let call = worker.echo(Named { number: 7, text, ..Named::default() });
            calls.spawn(async move { check(call.await) });
        }
        1 => {
            let call = worker.items(u64::from(byte(rest)));
            calls.spawn(async move { check(call.try_collect::<Vec<_>>().await) });
        }
        2 => {
            let call = worker.sum(stream::iter(0..u64::from(byte(rest))), ObjectRef::put(7));
            calls.spawn(async move { check(call.await) });
        }
        3 => {
            let call = worker.make(7);
            calls.spawn(async move {
                match call.await {
                    Ok(object) => check(object.await),
                    Err(error) => check(Err::<(), _>(error)),
                }
            });
        }
        4 => {
            let call = worker.fail(String::new());
            calls.spawn(async move { check(call.await) });
        }
        // A response that is dropped, and one that is detached.
        5 => drop(worker.echo(Named::default())),
        6 => worker.echo(Named::default()).detach(),
        7 => {
            for _ in 0..byte(rest) % 8 {
                yield_now().await;
            }
        }
        8 => sleep(Duration::from_millis(byte(rest).into())).await,
        9 => *tap.dropping.lock() = byte(rest) % 4,
        10 => {
            let (to, length) = (byte(rest), byte(rest));
            let frame = Bytes::copy_from_slice(take(rest, length.into()));
            is_frame(&frame);
            tap.deliver(usize::from(to % 2), frame);
        }
        // A frame that was sent is sent again, to either end, and with one byte changed.
        _ => {
            let (from_the_end, change) = (byte(rest), byte(rest));
            let (at, xor) = (byte(rest), byte(rest));
            let known = {
                let sent = tap.sent.lock();
                let index = sent.len().checked_sub(1 + usize::from(from_the_end));
                index.map(|index| sent[index].clone())
            };
            let Some((to, frame)) = known else { return };
            let to = if change % 4 == 0 { 1 - to } else { to };
            let mut frame = frame.to_vec();
            if let Some(byte) = frame.get_mut(usize::from(at)) {
                *byte ^= xor;
            }
            if change % 8 == 7 {
                frame.truncate(at.into());
            }
            let frame = Bytes::from(frame);
            is_frame(&frame);
            tap.deliver(to, frame);
        }
    }
}

/// Checks that a call did not panic. All else may happen to a call whose frames are made up.
fn check<T, E: Debug>(outcome: Result<T, CallError<E>>) {
    assert!(!matches!(outcome, Err(CallError::Panicked(_))), "a panic: {:?}", outcome.err());
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::path::PathBuf;

    use super::*;

    fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = format!("{}/../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(&folder).expect("a folder");
        let paths = files.map(|file| file.expect("a file").path());
        let inputs: Vec<_> = paths
            .map(|path| {
                let input = std::fs::read(&path).expect("a file");
                (path, input)
            })
            .collect();
        assert!(inputs.len() > 10, "{folder}: {} files", inputs.len());
        inputs
    }

    /// Shows the file whose input panics.
    fn run(target: &str, one: fn(&[u8])) {
        for (path, input) in corpus(target) {
            let panicked = catch_unwind(|| one(&input)).is_err();
            assert!(!panicked, "{}", path.display());
        }
    }

    const TO_CALLER: usize = 0;
    const TO_HOST: usize = 1;

    /// Waits until a number of frames were sent.
    async fn sent(tap: &Tap, frames: usize) {
        while tap.sent.lock().len() < frames {
            yield_now().await;
        }
    }

    /// A frame by its kind, the number of a call or a stream, and the rest.
    fn frame(kind: u8, number: u8, rest: &[u8]) -> Bytes {
        let mut frame = vec![kind, number];
        frame.extend_from_slice(rest);
        let frame = Bytes::from(frame);
        assert!(is_frame(&frame));
        frame
    }

    const GIVEN_BACK: u8 = 2;
    const BEGUN: u8 = 3;
    const CREDIT: u8 = 5;
    const PULL: u8 = 11;
    /// `usize::MAX`, as postcard writes it.
    const HUGE: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];

    #[tokio::test(start_paused = true)]
    async fn room_that_cannot_be_counted_is_granted() -> Result<()> {
        let (_runtime, worker, tap) = tapped().await;
        let items = worker.items(40);
        sent(&tap, 1).await;
        (0..3).for_each(|_| tap.deliver(TO_HOST, frame(CREDIT, 0, &HUGE)));
        assert_eq!(items.try_collect::<Vec<_>>().await, Ok((0..40).collect()));

        // A stream that is lent, once its borrower has asked for items, and before that.
        let numbers = || {
            stream::iter(0..40).then(|number| async move {
                sleep(Duration::from_millis(1)).await;
                number
            })
        };
        let sum = worker.sum(numbers().boxed(), ObjectRef::put(0));
        let lent = loop {
            let pulled = |(to, sent): &(usize, Bytes)| *to == TO_CALLER && sent[0] == PULL;
            let pull = tap.sent.lock().iter().find(|sent| pulled(sent)).map(|sent| sent.1[1]);
            match pull {
                Some(lent) => break lent,
                None => yield_now().await,
            }
        };
        (0..3).for_each(|_| tap.deliver(TO_CALLER, frame(PULL, lent, &HUGE)));
        assert_eq!(sum.await?, 780);
        let before = tap.sent.lock().len();
        let _sum = worker.sum(numbers().boxed(), ObjectRef::put(0));
        sent(&tap, before + 1).await;
        for later in 1..3 {
            tap.deliver(TO_CALLER, frame(PULL, lent + later, &HUGE));
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_has_begun_cannot_be_given_back() {
        let (_runtime, worker, tap) = tapped().await;
        let call = worker.echo(Named::default());
        sent(&tap, 1).await;
        tap.deliver(TO_CALLER, frame(BEGUN, 0, &[]));
        tap.deliver(TO_CALLER, frame(GIVEN_BACK, 0, &[]));
        assert!(matches!(call.await, Err(CallError::Transport(_))));
    }

    #[test]
    fn values_of_the_corpus_are_read_or_refused() {
        run("values", values);
    }

    #[test]
    fn programs_of_the_corpus_end() {
        run("frames", frames);
    }
}
