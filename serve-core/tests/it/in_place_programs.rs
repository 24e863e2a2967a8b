//! Random programs of calls, joins, selects, drops, panics and deadlines look the same with calls in
//! place and without.

use crate::support::cases::cases;
use crate::support::runtimes::paused;

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use proptest::prelude::*;
use serve_core::prelude::*;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

/// The times in a program, in milliseconds. Long, so that no two moments are the same, whose order
/// would be anybody's. On a paused clock they take no time.
const MILLIS: std::ops::Range<u64> = 1..1_000_000_000;

/// What a method does, one step after the other.
type Program = Arc<Vec<Step>>;

#[derive(Clone, Debug)]
enum Step {
    /// Makes a call and awaits it.
    Call(Program),
    /// Makes calls and awaits them together.
    Join(Vec<Program>),
    /// Makes calls one after the other, and awaits them in the opposite order.
    Backwards(Vec<Program>),
    /// Waits for whichever comes first, the call or a moment.
    Race(Program, u64),
    /// Awaits a call for some milliseconds.
    Timeout(Program, u64),
    /// Makes a call with a deadline, and awaits it.
    Deadline(Program, u64),
    /// Makes a call that is not awaited: dropped at once, or after one poll, or at the end.
    Drop(Program, Dropped),
    Detach(Program),
    /// Makes a call, does a step, and awaits the call.
    Meanwhile(Program, Box<Step>),
    /// Makes a call and awaits it in a task of the program's own.
    Elsewhere(Program),
    Shared(Program),
    Cancel(Program),
    Sleep(u64),
    Yield,
    /// Ends the program with a panic.
    Panic,
}

#[derive(Clone, Copy, Debug)]
enum Dropped {
    AtOnce,
    /// After its first poll, and so many milliseconds.
    AfterAPoll(u64),
    /// So many milliseconds after the last step.
    AtTheEnd(u64),
}

/// For each call, by its path: when it began, ended or was dropped, and what its caller received.
#[derive(Debug)]
struct Log {
    start: Instant,
    events: Mutex<Vec<(String, String)>>,
}

impl Log {
    fn note(&self, path: &str, what: &str) {
        let at = self.start.elapsed().as_millis();
        self.events.lock().push((path.to_owned(), format!("{what} at {at} ms")));
    }
}

struct Running(Arc<Log>, String, bool);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.note(&self.1, if self.2 { "ended" } else { "dropped" });
    }
}

#[deployment(local, max_ongoing_requests = 100_000)]
struct Node;

#[handle]
impl Node {
    pub fn new() -> Self {
        Self
    }

    pub async fn run(&self, node: NodeHandle, program: Program, path: String, log: Arc<Log>) {
        log.note(&path, "began");
        let mut running = Running(Arc::clone(&log), path.clone(), false);
        let mut interpreter = Interpreter { node, path, log, calls: 0, kept: Vec::new() };
        for step in &*program {
            interpreter.step(step).await;
        }
        for (millis, response) in interpreter.kept.drain(..) {
            sleep(Duration::from_millis(millis)).await;
            drop(response);
        }
        running.2 = true;
    }
}

struct Interpreter {
    node: NodeHandle,
    path: String,
    log: Arc<Log>,
    calls: usize,
    /// The calls that are dropped so many milliseconds after the last step.
    kept: Vec<(u64, Response<()>)>,
}

impl Interpreter {
    fn call(&mut self, program: &Program) -> (String, Response<()>) {
        self.call_by(&self.node.clone(), program)
    }

    fn call_by(&mut self, node: &NodeHandle, program: &Program) -> (String, Response<()>) {
        self.calls += 1;
        let path = format!("{}.{}", self.path, self.calls);
        let (program, log) = (Arc::clone(program), Arc::clone(&self.log));
        let response = node.run(self.node.clone(), program, path.clone(), log);
        (path, response)
    }

    fn got(&self, path: &str, result: &Result<(), CallError>) {
        let result = match result {
            Ok(()) => "ok".to_owned(),
            Err(error) => format!("{error:?}"),
        };
        self.log.note(path, &format!("gave {result}"));
    }

    fn step<'a>(&'a mut self, step: &'a Step) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            match step {
                Step::Call(program) => {
                    let (path, response) = self.call(program);
                    let result = response.await;
                    self.got(&path, &result);
                }
                Step::Join(programs) => {
                    let (paths, calls): (Vec<_>, Vec<_>) =
                        programs.iter().map(|program| self.call(program)).unzip();
                    for (path, result) in paths.iter().zip(join_all(calls).await) {
                        self.got(path, &result);
                    }
                }
                Step::Backwards(programs) => {
                    let calls: Vec<_> = programs.iter().map(|program| self.call(program)).collect();
                    for (path, response) in calls.into_iter().rev() {
                        let result = response.await;
                        self.got(&path, &result);
                    }
                }
                Step::Race(program, millis) => {
                    let (path, response) = self.call(program);
                    tokio::select! {
                        biased;
                        result = response => self.got(&path, &result),
                        () = sleep(Duration::from_millis(*millis)) => self.log.note(&path, "lost"),
                    }
                }
                Step::Timeout(program, millis) => {
                    let (path, response) = self.call(program);
                    match timeout(Duration::from_millis(*millis), response).await {
                        Ok(result) => self.got(&path, &result),
                        Err(_) => self.log.note(&path, "timed out"),
                    }
                }
                Step::Deadline(program, millis) => {
                    let limit = CallOptions::new().timeout(Duration::from_millis(*millis));
                    let node = self.node.options(limit);
                    let (path, response) = self.call_by(&node, program);
                    let result = response.await;
                    self.got(&path, &result);
                }
                Step::Drop(program, dropped) => {
                    let (_, mut response) = self.call(program);
                    match dropped {
                        Dropped::AtOnce => {}
                        // In place, the poll itself begins the call; a task begins it while the
                        // caller suspends, and goes on until all is idle.
                        Dropped::AfterAPoll(millis) => {
                            drop(futures::poll!(&mut response));
                            sleep(Duration::from_millis(*millis)).await;
                        }
                        Dropped::AtTheEnd(millis) => self.kept.push((*millis, response)),
                    }
                }
                Step::Detach(program) => self.call(program).1.detach(),
                Step::Meanwhile(program, meanwhile) => {
                    let (path, response) = self.call(program);
                    self.step(meanwhile).await;
                    let result = response.await;
                    self.got(&path, &result);
                }
                Step::Elsewhere(program) => {
                    let (path, response) = self.call(program);
                    let result = tokio::spawn(response).await.expect("it does not panic");
                    self.got(&path, &result);
                }
                Step::Shared(program) => {
                    let (path, response) = self.call(program);
                    let result = response.object_ref().get().await;
                    self.log.note(&path, if result.is_ok() { "shared" } else { "failed" });
                }
                Step::Cancel(program) => {
                    let (path, response) = self.call(program);
                    response.cancel();
                    let result = response.await;
                    self.got(&path, &result);
                }
                Step::Sleep(millis) => sleep(Duration::from_millis(*millis)).await,
                Step::Yield => yield_now().await,
                Step::Panic => panic!("as the program says"),
            }
        })
    }
}

fn programs() -> impl Strategy<Value = Program> {
    let leaf = prop_oneof![
        3 => Just(Step::Yield),
        3 => MILLIS.prop_map(Step::Sleep),
        1 => Just(Step::Panic),
    ];
    let program = prop::collection::vec(leaf, 0..3).prop_map(Arc::new);
    let program = program.prop_recursive(4, 40, 4, |inner| {
        let several = prop::collection::vec(inner.clone(), 1..4);
        let dropped = prop_oneof![
            Just(Dropped::AtOnce),
            MILLIS.prop_map(Dropped::AfterAPoll),
            MILLIS.prop_map(Dropped::AtTheEnd),
        ];
        let meanwhile = prop_oneof![
            Just(Step::Yield),
            MILLIS.prop_map(Step::Sleep),
            inner.clone().prop_map(Step::Call),
        ];
        let step = prop_oneof![
            6 => inner.clone().prop_map(Step::Call),
            3 => several.clone().prop_map(Step::Join),
            2 => several.prop_map(Step::Backwards),
            2 => (inner.clone(), MILLIS).prop_map(|(program, millis)| Step::Race(program, millis)),
            1 => (inner.clone(), MILLIS)
                .prop_map(|(program, millis)| Step::Timeout(program, millis)),
            2 => (inner.clone(), MILLIS)
                .prop_map(|(program, millis)| Step::Deadline(program, millis)),
            2 => (inner.clone(), dropped).prop_map(|(program, how)| Step::Drop(program, how)),
            1 => inner.clone().prop_map(Step::Detach),
            2 => (inner.clone(), meanwhile)
                .prop_map(|(program, step)| Step::Meanwhile(program, Box::new(step))),
            1 => inner.clone().prop_map(Step::Elsewhere),
            1 => inner.clone().prop_map(Step::Shared),
            1 => inner.prop_map(Step::Cancel),
            1 => Just(Step::Yield),
        ];
        prop::collection::vec(step, 1..4).prop_map(Arc::new)
    });
    // Three panics in a row end a replica and all that runs on it.
    program.prop_filter("too many panics", |program| {
        format!("{program:?}").matches("Panic").count() < 3
    })
}

/// Runs a program on a paused clock. Returns what was seen of each call, by the call's path.
fn seen(program: &Program, in_place: bool) -> Vec<(String, String)> {
    paused().block_on(async {
        let runtime = MockRuntime::builder().mode(Mode::Local).in_place(in_place).start();
        let node = runtime.run(Node::bind()).await.expect("nothing keeps it from running");
        let log = Arc::new(Log { start: Instant::now(), events: Mutex::default() });
        let call = node.run(node.clone(), Arc::clone(program), "0".to_owned(), Arc::clone(&log));
        let result = call.await;
        log.note("0", if result.is_ok() { "gave ok" } else { "failed" });
        // What was detached ends by then.
        sleep(Duration::from_millis(100 * MILLIS.end)).await;
        runtime.shutdown().await;
        let mut events = std::mem::take(&mut *log.events.lock());
        events.sort_by(|(one, _), (other, _)| one.cmp(other));
        events
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(100), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn programs_look_the_same_in_place(program in programs()) {
        prop_assert_eq!(seen(&program, false), seen(&program, true));
    }
}
