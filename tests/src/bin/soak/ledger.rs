//! The ledger: what was sent, and what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// What came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded, with the right answer.
    Answered,
    /// It was refused because of the load.
    Overloaded,
    /// There was no replica, and it did not begin.
    NotStarted,
    /// Its replica ended while it ran.
    Died,
    /// Its deadline passed.
    Late,
    /// It failed in the way that was asked for: an error or a panic of user code, bad input.
    Failed,
    /// The load gave it up: dropped, cancelled, disconnected.
    GivenUp,
    /// It has a wrong answer, or none.
    Wrong,
}

const OUTCOMES: [(Outcome, &str); 8] = [
    (Outcome::Answered, "answered"),
    (Outcome::Overloaded, "overloaded"),
    (Outcome::NotStarted, "not started"),
    (Outcome::Died, "died"),
    (Outcome::Late, "late"),
    (Outcome::Failed, "failed"),
    (Outcome::GivenUp, "given up"),
    (Outcome::Wrong, "wrong"),
];

/// The operations of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    sent: u64,
    ended: [u64; OUTCOMES.len()],
}

/// What was sent, and what came of it, by kind.
#[derive(Debug)]
pub struct Ledger {
    rows: Mutex<Rows>,
}

/// The rows of a ledger, by kind.
pub type Rows = BTreeMap<String, Row>;

/// An operation that was sent.
#[derive(Debug)]
#[must_use = "an operation has to end"]
pub struct Operation {
    pub kind: &'static str,
    /// Its number, by which methods say that they ran for it.
    pub number: u64,
}

/// The operations of this process.
pub static LEDGER: Ledger = Ledger { rows: Mutex::new(BTreeMap::new()) };

static NUMBER: AtomicU64 = AtomicU64::new(1);

impl Ledger {
    fn change(&self, kind: &str, change: impl FnOnce(&mut Row)) {
        let mut rows = self.rows.lock();
        match rows.get_mut(kind) {
            Some(row) => change(row),
            None => change(rows.entry(kind.to_owned()).or_default()),
        }
    }

    /// Notes that an operation is about to be sent.
    pub fn send(&self, kind: &'static str) -> Operation {
        self.change(kind, |row| row.sent += 1);
        Operation { kind, number: NUMBER.fetch_add(1, Ordering::Relaxed) }
    }

    /// Notes what came of an operation.
    #[expect(clippy::needless_pass_by_value, reason = "an operation ends once")]
    pub fn end(&self, operation: Operation, outcome: Outcome) {
        self.change(operation.kind, |row| row.ended[outcome as usize] += 1);
    }

    /// Adds the rows of another ledger.
    pub fn add(&self, rows: Rows) {
        for (kind, row) in rows {
            self.change(&kind, |own| {
                own.sent += row.sent;
                for (own, more) in own.ended.iter_mut().zip(row.ended) {
                    *own += more;
                }
            });
        }
    }

    /// Takes all rows out.
    pub fn take(&self) -> Rows {
        std::mem::take(&mut *self.rows.lock())
    }

    /// Returns the number of operations that were sent.
    pub fn sent(&self) -> u64 {
        self.rows.lock().values().map(|row| row.sent).sum()
    }

    /// Describes the kinds of which more operations were sent than ended.
    pub fn imbalance(&self) -> Option<String> {
        let rows = self.rows.lock();
        let open = rows.iter().filter(|(_, row)| row.sent != row.ended.iter().sum::<u64>());
        let open: Vec<_> = open.map(|(kind, row)| format!("{kind}: {row:?}")).collect();
        (!open.is_empty()).then(|| open.join("; "))
    }
}

impl fmt::Display for Ledger {
    /// Writes the ledger as a table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |kind: &str, row: &Row| {
            write!(f, "{kind:<24}{:>10}", row.sent)?;
            for number in row.ended {
                match number {
                    0 => write!(f, "{:>12}", "-")?,
                    number => write!(f, "{number:>12}")?,
                }
            }
            writeln!(f)
        };
        let rows = self.rows.lock();
        let mut total = Row::default();
        for (kind, row) in &*rows {
            line(kind, row)?;
            total.sent += row.sent;
            for (total, more) in total.ended.iter_mut().zip(row.ended) {
                *total += more;
            }
        }
        line("total", &total)?;
        write!(f, "{:<24}{:>10}", "", "sent")?;
        OUTCOMES.iter().try_for_each(|(_, name)| write!(f, "{name:>12}"))
    }
}

static FAULTS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static FAULT_COUNT: AtomicUsize = AtomicUsize::new(0);

/// The number of faults that are kept.
const KEPT: usize = 30;

/// Notes that something is not as it must be.
pub fn fault(what: impl Into<String>) {
    let what = what.into();
    if FAULT_COUNT.fetch_add(1, Ordering::Relaxed) < KEPT {
        crate::say(&format!("FAULT: {what}"));
        FAULTS.lock().push(what);
    }
}

/// Returns the faults so far, at most [`KEPT`], and removes them.
pub fn take_faults() -> Vec<String> {
    std::mem::take(&mut *FAULTS.lock())
}

/// Returns the number of faults so far.
pub fn fault_count() -> usize {
    FAULT_COUNT.load(Ordering::Relaxed)
}

/// The number of reasons that are counted apart.
const KINDS_OF_REASONS: usize = 100;

/// How often each reason for a failure was given.
static REASONS: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// Counts a reason for a failure. Ids of replicas are left out.
pub fn reason(why: &str) {
    let words = why.split(' ').map(|word| if word.contains('#') { "#" } else { word });
    let why = words.collect::<Vec<_>>().join(" ");
    let mut reasons = REASONS.lock();
    if reasons.len() < KINDS_OF_REASONS || reasons.contains_key(&why) {
        *reasons.entry(why).or_default() += 1;
    }
}

/// Returns the reasons for failures, and how often each was given.
pub fn reasons() -> BTreeMap<String, u64> {
    REASONS.lock().clone()
}
