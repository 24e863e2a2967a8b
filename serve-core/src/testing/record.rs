//! [`CallRecord`]: a call that a mock runtime saw.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

/// A call that a mock runtime saw. A record compares with the name of the method, and its debug
/// form shows the arguments.
#[derive(Clone, PartialEq)]
pub struct CallRecord {
    pub(super) method: &'static str,
    pub(super) deployment: Arc<str>,
    pub(super) replica_id: Arc<str>,
    pub(super) arguments: Option<Value>,
}

impl CallRecord {
    /// Returns the name of the method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.method
    }

    /// Returns the deployment's name in its application.
    #[must_use]
    pub fn deployment(&self) -> &str {
        &self.deployment
    }

    /// Returns the id of the replica that served the call.
    #[must_use]
    pub fn replica_id(&self) -> &str {
        &self.replica_id
    }

    /// Returns the arguments as a JSON object by name, or `None` if they cannot be serialized.
    #[must_use]
    pub fn arguments(&self) -> Option<&Value> {
        self.arguments.as_ref()
    }
}

impl PartialEq<str> for CallRecord {
    fn eq(&self, method: &str) -> bool {
        self.method == method
    }
}

impl PartialEq<&str> for CallRecord {
    fn eq(&self, method: &&str) -> bool {
        self.method == *method
    }
}

impl PartialEq<CallRecord> for &str {
    fn eq(&self, record: &CallRecord) -> bool {
        record == self
    }
}

impl fmt::Debug for CallRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.method)?;
        match &self.arguments {
            Some(Value::Object(arguments)) => {
                for (place, (name, value)) in arguments.iter().enumerate() {
                    let comma = if place > 0 { ", " } else { "" };
                    write!(f, "{comma}{name}: {value}")?;
                }
            }
            _ => f.write_str("..")?,
        }
        f.write_str(")")
    }
}

/// The calls that a mock runtime saw, in order.
#[derive(Debug, Default)]
pub(super) struct Records(Mutex<Vec<(TypeId, CallRecord)>>);

impl Records {
    pub(super) fn add(&self, deployment: TypeId, record: CallRecord) {
        self.0.lock().push((deployment, record));
    }

    pub(super) fn of(&self, deployment: TypeId) -> Vec<CallRecord> {
        let records = self.0.lock();
        let its_own = records.iter().filter(|(type_id, _)| *type_id == deployment);
        its_own.map(|(_, record)| record.clone()).collect()
    }
}
