//! Gauges inside the methods: how many calls run on a replica, how many instances there are, and
//! for which operations a method ran.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use crate::ledger::fault;

/// The number of operations that a table of runs remembers: more than there ever are at a time.
const REMEMBERED: usize = 1 << 20;

/// Added to the numbers of operations that come over HTTP, from another process.
pub const OVER_HTTP: u64 = 1 << 40;

/// How often a method ran for each operation. The memory that this takes does not grow.
struct Runs(Box<[AtomicU64]>);

impl Runs {
    fn new() -> Self {
        Self((0..REMEMBERED).map(|_| AtomicU64::new(0)).collect())
    }

    /// The entry of an operation: its number and, in the lowest 8 bits, how often a method ran.
    fn entry(&self, number: u64) -> &AtomicU64 {
        let place = number % REMEMBERED as u64;
        &self.0[usize::try_from(place).expect("it is below the length")]
    }

    fn ran(&self, number: u64) {
        let _ = self.entry(number).fetch_update(Ordering::SeqCst, Ordering::SeqCst, |entry| {
            Some(if entry >> 8 == number { entry + 1 } else { number << 8 | 1 })
        });
    }

    fn runs(&self, number: u64) -> u64 {
        let entry = self.entry(number).load(Ordering::SeqCst);
        if entry >> 8 == number { entry & 0xff } else { 0 }
    }
}

static OF_HANDLES: LazyLock<Runs> = LazyLock::new(Runs::new);
static OVER_SOCKETS: LazyLock<Runs> = LazyLock::new(Runs::new);

fn table(number: u64) -> &'static Runs {
    if number < OVER_HTTP { &OF_HANDLES } else { &OVER_SOCKETS }
}

/// Makes the tables, which are not to show as growing memory later.
pub fn prepare() {
    for table in [&OF_HANDLES, &OVER_SOCKETS] {
        LazyLock::force(table);
    }
}

/// Notes that a method runs for an operation. 0 is the number of calls that are parts of another.
pub fn ran(number: u64) {
    if number != 0 {
        table(number).ran(number);
    }
}

/// Returns how often a method ran for an operation.
pub fn runs(number: u64) -> u64 {
    table(number).runs(number)
}

/// The instances of one type: constructed and dropped.
static INSTANCES: Mutex<BTreeMap<&str, (u64, u64)>> = Mutex::new(BTreeMap::new());

static ENTRIES: AtomicU64 = AtomicU64::new(0);
static EXITS: AtomicU64 = AtomicU64::new(0);

/// An instance of a deployment, or something else that must be dropped in the end.
#[derive(Debug)]
pub struct Instance {
    gauge: Arc<Gauge>,
}

/// How many are inside, of at most `limit`.
#[derive(Debug)]
struct Gauge {
    what: &'static str,
    limit: usize,
    inside: AtomicUsize,
}

/// A method that runs, until it is dropped.
#[derive(Debug)]
pub struct Entered(Arc<Gauge>);

impl Instance {
    /// Counts an instance that runs at most `limit` methods at a time.
    pub fn new(what: &'static str, limit: usize) -> Self {
        INSTANCES.lock().entry(what).or_default().0 += 1;
        Self { gauge: Arc::new(Gauge { what, limit, inside: AtomicUsize::new(0) }) }
    }

    /// Notes that a method begins, for the operation with this number.
    pub fn enter(&self, number: u64) -> Entered {
        ran(number);
        ENTRIES.fetch_add(1, Ordering::SeqCst);
        let Gauge { what, limit, inside } = &*self.gauge;
        let inside = inside.fetch_add(1, Ordering::SeqCst) + 1;
        if inside > *limit {
            fault(format!("{inside} calls run on one `{what}`, of at most {limit}"));
        }
        Entered(Arc::clone(&self.gauge))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        INSTANCES.lock().entry(self.gauge.what).or_default().1 += 1;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
        EXITS.fetch_add(1, Ordering::SeqCst);
    }
}

/// Returns how often methods were entered and left.
pub fn entries_and_exits() -> (u64, u64) {
    // In this order, so that an exit is never counted before its entry.
    let exits = EXITS.load(Ordering::SeqCst);
    (ENTRIES.load(Ordering::SeqCst), exits)
}

/// Returns the instances of each type: constructed and dropped.
pub fn instances() -> BTreeMap<&'static str, (u64, u64)> {
    INSTANCES.lock().clone()
}

/// Returns the number of instances of a type that are not dropped.
pub fn alive(what: &str) -> u64 {
    INSTANCES.lock().get(what).map_or(0, |(constructed, dropped)| constructed - dropped)
}
