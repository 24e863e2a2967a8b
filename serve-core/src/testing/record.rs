//! [`CallRecord`]: a call that a mock runtime saw.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

/// A call that a mock runtime saw. Compares with the method's name, and shows its
/// arguments.
#[derive(Clone, PartialEq)]
pub struct CallRecord {
    pub(super) method: &'static str,
    pub(super) deployment: Arc<str>,
    pub(super) replica_id: Arc<str>,
    pub(super) arguments: Option<Value>,
}

impl CallRecord {
    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.method
    }

    /// The deployment's name in its application.
    #[must_use]
    pub fn deployment(&self) -> &str {
        &self.deployment
    }

    /// The replica that served it.
    #[must_use]
    pub fn replica_id(&self) -> &str {
        &self.replica_id
    }

    /// The arguments as a JSON object by name; none if they cannot be serialized.
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

/// Every call that a mock runtime saw, in order.
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
