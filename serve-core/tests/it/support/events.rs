//! What the deployments of a test did, in order.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A list of events that deployments and their test share.
pub(crate) type Events<T = String> = Arc<EventLog<T>>;

/// The list behind [`Events`].
#[derive(Debug)]
pub(crate) struct EventLog<T = String> {
    events: Mutex<Vec<T>>,
    noted: Notify,
}

impl<T> Default for EventLog<T> {
    fn default() -> Self {
        Self { events: Mutex::default(), noted: Notify::new() }
    }
}

impl<T> EventLog<T> {
    /// Adds an event.
    pub(crate) fn note(&self, event: impl Into<T>) {
        self.events.lock().push(event.into());
        self.noted.notify_waiters();
    }

    /// Adds several events at once, so that no other event comes between them.
    pub(crate) fn note_all(&self, events: impl IntoIterator<Item = T>) {
        self.events.lock().extend(events);
        self.noted.notify_waiters();
    }

    /// The number of events since the last `take`.
    pub(crate) fn len(&self) -> usize {
        self.events.lock().len()
    }

    /// Removes and returns all events.
    pub(crate) fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.events.lock())
    }

    /// Waits for an event, and removes and returns the oldest one.
    pub(crate) async fn next(&self) -> T {
        self.wait_for(1).await;
        self.events.lock().remove(0)
    }

    /// Waits until there are so many events, and removes and returns all of them.
    pub(crate) async fn take_when(&self, number: usize) -> Vec<T> {
        self.wait_for(number).await;
        self.take()
    }

    async fn wait_for(&self, number: usize) {
        loop {
            let mut noted = std::pin::pin!(self.noted.notified());
            noted.as_mut().enable();
            if self.len() >= number {
                return;
            }
            noted.await;
        }
    }
}

impl<T: Clone> EventLog<T> {
    /// The events so far, which stay in the list.
    pub(crate) fn seen(&self) -> Vec<T> {
        self.events.lock().clone()
    }
}

impl EventLog {
    /// Notes an event when the returned guard is dropped.
    pub(crate) fn note_on_drop(self: &Arc<Self>, event: impl Into<String>) -> NoteOnDrop {
        NoteOnDrop { events: Arc::clone(self), event: event.into() }
    }
}

/// Notes an event when it is dropped.
#[derive(Debug)]
pub(crate) struct NoteOnDrop {
    events: Events,
    event: String,
}

impl Drop for NoteOnDrop {
    fn drop(&mut self) {
        self.events.note(std::mem::take(&mut self.event));
    }
}
