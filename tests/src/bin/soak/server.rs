//! The process that hosts the runtime: load, pauses, and the verdict.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::panic;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serve_core::prelude::Runtime;
use tokio::sync::{RwLock, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::calls::{self, PATIENCE};
use crate::deployments::ASKED_FOR;
use crate::dice::Dice;
use crate::gauges::{self, OVER_HTTP};
use crate::ledger::{LEDGER, Rows, fault, fault_count, reasons, take_faults};
use crate::measure::Measure;
use crate::operations;
use crate::world::{Wanted, World, settle};
use crate::{Arguments, say};

/// The number of tasks that make calls through handles, one after the other.
const CALLERS: u64 = 24;

/// So much more memory may be in use at the end than after the first quarter: a tenth, and this.
const MORE_RESIDENT: usize = 16 * 1024;

/// The same, for what is allocated. There are no pages and arenas here, so it is much less.
const MORE_HEAP: usize = 1024 * 1024;

/// What the clients say when the load pauses.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ClientReport {
    pub rows: Rows,
    /// The numbers of requests that were said not to have begun.
    pub not_begun: Vec<u64>,
    pub faults: Vec<String>,
}

/// The process of the HTTP clients.
struct Clients {
    child: Child,
    commands: ChildStdin,
    reports: mpsc::UnboundedReceiver<String>,
}

impl Clients {
    fn start(address: SocketAddr, seed: u64) -> std::io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--clients-of", &address.to_string(), "--seed", &seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = child.stdin.take().expect("stdin is piped");
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, reports) = mpsc::unbounded_channel();
        // It ends with the process.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, commands, reports })
    }

    fn tell(&mut self, command: &str) {
        if let Err(error) = writeln!(self.commands, "{command}") {
            fault(format!("the clients are gone: {error}"));
        }
    }

    /// Waits until the clients have closed their connections, and takes over their ledger.
    async fn pause(&mut self) {
        self.tell("pause");
        let Ok(Some(line)) = timeout(PATIENCE, self.reports.recv()).await else {
            return fault("the clients do not pause");
        };
        let report: ClientReport = match serde_json::from_str(&line) {
            Ok(report) => report,
            Err(error) => return fault(format!("the clients say {line}: {error}")),
        };
        LEDGER.add(report.rows);
        report.faults.into_iter().for_each(fault);
        for number in report.not_begun {
            if gauges::runs(OVER_HTTP + number) > 0 {
                fault(format!("request {number} ran, and is said not to have run"));
            }
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the tasks of the load share.
struct Load {
    world: Arc<World>,
    /// Each step of the load reads; a pause writes.
    gate: RwLock<()>,
    ends: AtomicBool,
}

/// Runs a step of the load again and again, but not while the load pauses.
macro_rules! forever {
    ($load:ident, $step:expr) => {
        while !$load.ends.load(Ordering::Relaxed) {
            let _going = $load.gate.read().await;
            if !$load.ends.load(Ordering::Relaxed) {
                $step.await;
            }
        }
    };
}

fn begin(load: &Arc<Load>, seed: u64) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for task in 0..CALLERS {
        let (load, mut dice) = (Arc::clone(load), Dice::new(seed, task));
        tasks.spawn(async move {
            forever!(load, async {
                match dice.below(200) {
                    0 => calls::from_a_thread(&load.world, &mut dice).await,
                    1 => calls::actor(&load.world, &mut dice).await,
                    _ => calls::one(&load.world, &mut dice).await,
                }
                sleep(dice.up_to_ms(20)).await;
            });
        });
    }
    let mut task = CALLERS;
    let mut another = || {
        task += 1;
        (Arc::clone(load), Dice::new(seed, task))
    };
    let (one, mut dice) = another();
    tasks.spawn(async move { forever!(one, calls::burst(&one.world, &mut dice)) });
    let (one, mut dice) = another();
    tasks.spawn(async move { forever!(one, operations::update(&one.world, &mut dice)) });
    let (one, mut dice) = another();
    tasks.spawn(async move { forever!(one, operations::update_zero(&one.world, &mut dice)) });
    let (one, mut dice) = another();
    tasks.spawn(async move { forever!(one, operations::kill(&one.world, &mut dice)) });
    let (one, mut dice) = another();
    tasks.spawn(async move { forever!(one, operations::sicken(&one.world, &mut dice)) });
    let (one, mut dice) = another();
    tasks.spawn(async move {
        let mut kept = None;
        forever!(one, operations::churn(&one.world, &mut dice, &mut kept));
    });
    tasks
}

/// Notes each panic that nobody asked for.
fn watch_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let payload = info.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        if !text.is_some_and(|text| text.starts_with(ASKED_FOR)) {
            fault(format!("a panic: {info}"));
            usual(info);
        }
    }));
}

/// The number of pauses: more in a longer run, and each load is long enough for stalled clients.
fn rounds(time: Duration) -> u32 {
    u32::try_from(time.as_secs() / 15).unwrap_or(u32::MAX).clamp(4, 20)
}

pub fn main(arguments: Arguments) -> ExitCode {
    let Arguments { time, seed, .. } = arguments;
    say(&format!("a soak of {time:?}: `--seconds {} --seed {seed}`", time.as_secs()));
    watch_panics();
    gauges::prepare();
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let tokio = tokio.expect("tokio starts");
    tokio.block_on(soak(time, seed));
    // What is left now would hold the process up for ever.
    tokio.shutdown_timeout(Duration::from_secs(5));
    say(&format!("{LEDGER}\n"));
    for (why, count) in reasons() {
        say(&format!("{count:>8} x {why}"));
    }
    let instances = gauges::instances().into_iter();
    let instances = instances.map(|(what, (made, dropped))| format!("{what} {made}/{dropped}"));
    let instances: Vec<_> = instances.collect();
    let (entries, exits) = gauges::entries_and_exits();
    say(&format!("\ninstances made/dropped: {}", instances.join(", ")));
    say(&format!("methods entered/left: {entries}/{exits}"));
    match fault_count() {
        0 => {
            say(&format!("no faults; seed {seed}"));
            ExitCode::SUCCESS
        }
        count => {
            let faults = take_faults();
            say(&format!("{count} faults; `--seconds {} --seed {seed}`", time.as_secs()));
            faults.iter().for_each(|fault| say(&format!("- {fault}")));
            ExitCode::FAILURE
        }
    }
}

async fn soak(time: Duration, seed: u64) {
    let runtime = Runtime::builder().num_cpus(1_000.0).http(([127, 0, 0, 1], 0)).start().await;
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fault(format!("the runtime does not start: {error}")),
    };
    let address = runtime.http_address().expect("HTTP is on");
    let mut clients = match Clients::start(address, seed) {
        Ok(clients) => clients,
        Err(error) => return fault(format!("the clients do not start: {error}")),
    };
    // They are ready, and have no connection yet.
    clients.pause().await;
    let Some(empty) = settled("nothing deployed", settle(Wanted::default(), String::new).await)
    else {
        return;
    };
    match World::start(runtime.clone()).await {
        Ok(world) => under_load(Arc::new(world), &mut clients, time, seed).await,
        Err(error) => fault(format!("the first deploy fails: {error}")),
    }
    for name in ["main", "zero"] {
        if let Err(error) = runtime.delete(name).await {
            fault(format!("`{name}` is not deleted: {error}"));
        }
    }
    let wanted = Wanted { tasks: Some(empty.tasks), descriptors: empty.descriptors };
    settled("all deleted", settle(wanted, left_over).await);
    drop(clients);
    runtime.shutdown().await;
    drop(runtime);
    let wanted = Wanted { tasks: Some(0), descriptors: None };
    settled("shut down", settle(wanted, left_over).await);
    say("");
}

/// Says what the process holds, or notes the fault if that is not what it has to hold.
fn settled(when: &str, measured: Result<Measure, String>) -> Option<Measure> {
    match measured {
        Ok(measure) => {
            say(&format!("{when}: {measure}"));
            Some(measure)
        }
        Err(unsettled) => {
            fault(format!("{when}: {unsettled}"));
            None
        }
    }
}

/// Puts load on the world for a time, with pauses in which nothing may be left of it.
async fn under_load(world: Arc<World>, clients: &mut Clients, time: Duration, seed: u64) {
    let idle = world.settle(Wanted::default()).await;
    let Some(idle) = settled("all deployed", idle) else { return };
    let load = Arc::new(Load { world, gate: RwLock::default(), ends: AtomicBool::new(false) });
    let mut gate = Some(load.gate.write().await);
    let mut tasks = begin(&load, seed);
    let wanted = Wanted { tasks: Some(idle.tasks + tasks.len()), descriptors: idle.descriptors };
    let (began, rounds) = (Instant::now(), rounds(time));
    let (mut quarter, mut last) = (None::<Measure>, None);
    for round in 1..=rounds {
        clients.tell("go");
        drop(gate.take());
        progress(began + time / rounds * round, began).await;
        let Ok(written) = timeout(PATIENCE, load.gate.write()).await else {
            // What still runs would only be in the way of all that follows.
            return fault("the load does not pause");
        };
        gate = Some(written);
        clients.pause().await;
        if let Err(error) = load.world.canonical().await {
            fault(format!("the version of all pauses is not deployed: {error}"));
        }
        let pause = format!("pause {round} of {rounds}");
        if let Some(measure) = settled(&pause, load.world.settle(wanted).await) {
            if 4 * round >= rounds {
                quarter = quarter.or(Some(measure));
            }
            last = Some(measure);
        }
        if let Some(open) = LEDGER.imbalance() {
            fault(format!("{pause}: not balanced: {open}"));
        }
    }
    if let (Some(quarter), Some(last)) = (quarter, last) {
        compare_memory(&quarter, &last);
    }
    load.ends.store(true, Ordering::Relaxed);
    drop(gate);
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            fault(format!("a task of the load: {error}"));
        }
    }
}

/// Describes the instances that are not dropped.
fn left_over() -> String {
    let instances = gauges::instances().into_iter();
    let left = instances.filter(|(_, (made, dropped))| made != dropped);
    let left = left.map(|(what, (made, dropped))| format!("{} of `{what}` live; ", made - dropped));
    left.collect()
}

/// Prints a line every five seconds until a moment.
async fn progress(until: Instant, began: Instant) {
    const PERIOD: Duration = Duration::from_secs(5);
    let mut before = (LEDGER.sent(), Instant::now());
    while Instant::now() < until {
        sleep(PERIOD.min(until - Instant::now())).await;
        let now = (LEDGER.sent(), Instant::now());
        let time = now.1 - before.1;
        if time >= PERIOD {
            // Those of the clients are counted when they pause.
            #[expect(clippy::cast_precision_loss, reason = "a rate is not exact")]
            let rate = (now.0 - before.0) as f64 / time.as_secs_f64();
            let (entries, exits) = gauges::entries_and_exits();
            say(&format!(
                "{:>5} s: {rate:.0} operations a second, {entries} methods entered, {} inside, \
                 {} faults",
                began.elapsed().as_secs(),
                entries - exits,
                fault_count()
            ));
            before = now;
        }
    }
}

/// Compares the memory at two pauses.
fn compare_memory(before: &Measure, after: &Measure) {
    let most = before.heap + before.heap / 10 + MORE_HEAP;
    if after.heap > most {
        fault(format!("{} bytes are allocated, after {}", after.heap, before.heap));
    }
    if let (Some(before), Some(after)) = (before.resident, after.resident)
        && after > before + before / 10 + MORE_RESIDENT
    {
        fault(format!("{after} KiB are resident, after {before} KiB"));
    }
}
