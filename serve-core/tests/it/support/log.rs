//! The events that `tracing` is given.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// Keeps the wanted events of this thread, until it is dropped.
pub(crate) struct Log {
    kept: Arc<Kept>,
    _default: DefaultGuard,
    _second: Dispatch,
}

impl Log {
    /// Begins to keep the events that are wanted.
    pub(crate) fn of(wanted: fn(&Metadata<'_>) -> bool) -> Self {
        let kept = Arc::new(Kept { wanted, lines: Mutex::default(), spans: Mutex::default() });
        let default = set_default(Arc::clone(&kept));
        Self { _second: second_subscriber(Arc::clone(&kept)), kept, _default: default }
    }

    /// Removes and returns the events that were kept.
    pub(crate) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *self.kept.lines.lock())
    }

    /// Removes the events that were kept, and returns their texts.
    pub(crate) fn take_texts(&self) -> Vec<String> {
        self.take().iter().map(|line| line.without(&[])).collect()
    }
}

/// A second subscriber, to be kept while the first one is in use.
///
/// With a single subscriber, `tracing` asks the thread that meets an event first whether the event
/// is wanted, and remembers the answer. That thread may be another test's.
pub(crate) fn second_subscriber(subscriber: impl Subscriber + Send + Sync + 'static) -> Dispatch {
    Dispatch::new(subscriber)
}

/// An event of the log.
#[derive(Debug)]
pub(crate) struct Line {
    /// The fields of the span that the event names as its parent, or nothing.
    pub(crate) span: String,
    fields: Fields,
}

impl Line {
    /// The fields as `name=value`, with spaces between them, without some of them.
    pub(crate) fn without(&self, names: &[&str]) -> String {
        let shown = self.fields.0.iter().filter(|(name, _)| !names.contains(name));
        shown.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }
}

#[derive(Debug, Default)]
struct Fields(Vec<(&'static str, String)>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), format!("{value:?}")));
    }
}

struct Kept {
    wanted: fn(&Metadata<'_>) -> bool,
    lines: Mutex<Vec<Line>>,
    /// The fields of each span; the number of a span is its place, from 1.
    spans: Mutex<Vec<String>>,
}

impl Subscriber for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            metadata.target().starts_with("serve_core")
        } else {
            (self.wanted)(metadata)
        }
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        let mut text = String::new();
        for (name, value) in fields.0 {
            write!(text, "{name}={value} ").unwrap();
        }
        let mut spans = self.spans.lock();
        spans.push(text);
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let span = event.parent().map(|id| usize::try_from(id.into_u64()).unwrap() - 1);
        let span = span.map(|number| self.spans.lock()[number].clone()).unwrap_or_default();
        self.lines.lock().push(Line { span, fields });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
