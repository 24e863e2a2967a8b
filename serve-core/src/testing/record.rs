//! [`CallRecord`]: a call that a mock runtime saw.

use std::any::TypeId;
use std::fmt;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde_json::Value;

/// The size of the arguments that a mock runtime keeps in all, as JSON text. A test that passes
/// more than that hardly looks at the arguments of its first calls.
const KEPT: usize = 256 << 20;

/// A call that a mock runtime saw. A record compares with the name of the method, and its debug
/// form shows the arguments.
///
/// A mock runtime keeps the arguments as JSON text, and parses the text when a record is asked for
/// its arguments. It keeps 256 MiB of text: beyond that, the oldest records lose their arguments.
pub struct CallRecord {
    method: &'static str,
    deployment: Arc<str>,
    replica_id: Arc<str>,
    /// The arguments as JSON text, shared with the copies of the record.
    text: Option<Arc<[u8]>>,
    /// The parsed arguments, once they were asked for. Each copy has its own, because a parsed value
    /// may take thirty times the memory of its text.
    parsed: OnceLock<Option<Value>>,
}

impl CallRecord {
    pub(super) fn new(
        method: &'static str,
        (deployment, replica_id): (Arc<str>, Arc<str>),
        arguments: Option<Vec<u8>>,
    ) -> Self {
        let text = arguments.map(Arc::from);
        Self { method, deployment, replica_id, text, parsed: OnceLock::new() }
    }

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

    /// Returns the arguments as a JSON object by name, or `None` if they cannot be serialized, are
    /// nested in more than 128 levels, or are not kept any more.
    #[must_use]
    pub fn arguments(&self) -> Option<&Value> {
        let parse = || serde_json::from_slice(self.text.as_deref()?).ok();
        self.parsed.get_or_init(parse).as_ref()
    }

    fn size(&self) -> usize {
        self.text.as_ref().map_or(0, |text| text.len())
    }
}

impl Clone for CallRecord {
    fn clone(&self) -> Self {
        Self {
            method: self.method,
            deployment: Arc::clone(&self.deployment),
            replica_id: Arc::clone(&self.replica_id),
            text: self.text.clone(),
            parsed: OnceLock::new(),
        }
    }
}

impl PartialEq for CallRecord {
    fn eq(&self, other: &Self) -> bool {
        self.method == other.method
            && self.deployment == other.deployment
            && self.replica_id == other.replica_id
            // Equal maps may be written in different orders.
            && (self.text == other.text || self.arguments() == other.arguments())
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
        match self.arguments() {
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
pub(super) struct Records(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    /// The greatest size to keep.
    limit: usize,
    calls: Vec<(TypeId, CallRecord)>,
    /// The size of the arguments that are kept.
    size: usize,
    /// The place of the first record that may have arguments.
    oldest: usize,
}

impl Default for Kept {
    fn default() -> Self {
        Self { limit: KEPT, calls: Vec::new(), size: 0, oldest: 0 }
    }
}

impl Records {
    pub(super) fn add(&self, deployment: TypeId, record: CallRecord) {
        let kept = &mut *self.0.lock();
        kept.size += record.size();
        kept.calls.push((deployment, record));
        while kept.size > kept.limit {
            let (_, oldest) = &mut kept.calls[kept.oldest];
            kept.size -= oldest.size();
            oldest.text = None;
            kept.oldest += 1;
        }
    }

    pub(super) fn of(&self, deployment: TypeId) -> Vec<CallRecord> {
        let kept = self.0.lock();
        let its_own = kept.calls.iter().filter(|(type_id, _)| *type_id == deployment);
        its_own.map(|(_, record)| record.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(argument: &str) -> CallRecord {
        let text = format!("{{\"text\":\"{argument}\"}}").into_bytes();
        CallRecord::new("say", ("Speaker".into(), "1".into()), Some(text))
    }

    fn limited(limit: usize) -> Records {
        Records(Mutex::new(Kept { limit, ..Kept::default() }))
    }

    #[test]
    fn beyond_the_limit_the_oldest_records_lose_their_arguments() {
        let records = limited(300);
        let large = "x".repeat(100);
        let deployment = TypeId::of::<()>();
        for text in ["first", &large, &large, &large, "last"] {
            records.add(deployment, record(text));
        }
        let kept = records.of(deployment);
        let has: Vec<_> = kept.iter().map(|record| record.text.is_some()).collect();
        assert_eq!(has, [false, false, true, true, true]);
        assert_eq!(kept[4].arguments().unwrap()["text"], "last");
        assert_eq!((format!("{:?}", kept[0]), kept[0].arguments()), ("say(..)".to_owned(), None));
    }

    #[test]
    fn arguments_that_are_larger_than_the_limit_are_not_kept() {
        let records = limited(300);
        records.add(TypeId::of::<()>(), record(&"x".repeat(300)));
        records.add(TypeId::of::<()>(), record("next"));
        let kept = records.of(TypeId::of::<()>());
        assert_eq!((kept[0].arguments(), &kept[1]), (None, &record("next")));
    }
}
