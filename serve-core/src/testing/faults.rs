//! [`Faults`]: the delays and failures that a test sets.

use std::any::TypeId;
use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::call::CallError;

/// The faults of each method.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<HashMap<(TypeId, String), Fault>>);

#[derive(Debug, Default)]
struct Fault {
    delay: Duration,
    /// The errors of the next calls, in this order.
    failures: Vec<CallError>,
}

/// The fault of one call.
#[derive(Debug, Default)]
pub(super) struct Injected {
    pub(super) delay: Duration,
    pub(super) failure: Option<CallError>,
}

impl Faults {
    pub(super) fn delay(&self, deployment: TypeId, method: &str, delay: Duration) {
        self.0.lock().entry((deployment, method.to_owned())).or_default().delay = delay;
    }

    pub(super) fn fail_next(&self, deployment: TypeId, method: &str, failure: CallError) {
        self.0.lock().entry((deployment, method.to_owned())).or_default().failures.push(failure);
    }

    /// Returns the fault of a call that is made now, and removes its failure.
    pub(super) fn next(&self, deployment: TypeId, method: &str) -> Injected {
        let mut faults = self.0.lock();
        if faults.is_empty() {
            return Injected::default();
        }
        match faults.get_mut(&(deployment, method.to_owned())) {
            None => Injected::default(),
            Some(fault) => Injected {
                delay: fault.delay,
                failure: (!fault.failures.is_empty()).then(|| fault.failures.remove(0)),
            },
        }
    }
}
