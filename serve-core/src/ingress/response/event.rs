//! [`Event`]: an item of a stream with an id, a name and a reconnection time, as server-sent events have
//! them.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::ingress::response::reply::Unsendable;

/// An item of a streaming endpoint that has, besides its data, what server-sent events have.
///
/// If a client asks for `text/event-stream`, each item is sent with its lines `event:`, `id:` and
/// `retry:`. In all other formats, an item is sent as its data alone, and `/openapi.json` describes the
/// data. For the caller of a handle, an `Event` is a value like any other.
///
/// A browser that loses its connection waits for the reconnection time and asks again, with the id of
/// the last event in the header `Last-Event-ID`. A method that has this header as a parameter goes on
/// after that event:
///
/// ```
/// use std::time::Duration;
///
/// use serve_core::futures::stream;
/// use serve_core::http::Event;
/// use serve_core::prelude::*;
///
/// #[deployment]
/// #[derive(Default)]
/// struct Counter;
///
/// #[handle]
/// impl Counter {
///     #[get("/count", header = last_event_id)]
///     pub fn count(&self, last_event_id: Option<u32>) -> impl Stream<Item = Event<u32>> {
///         let first = last_event_id.map_or(1, |last| last + 1);
///         stream::iter(first..=3).map(|number| Event::new(number * 10).id(number))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> serve_core::Result<()> {
/// let runtime = MockRuntime::builder().start();
/// runtime.run(Counter::bind()).await?;
/// let count = || runtime.http().get("/count").header("last-event-id", "1");
/// let events = count().header("accept", "text/event-stream").await?;
/// assert_eq!(events.text().await?, "id: 2\ndata: 20\n\nid: 3\ndata: 30\n\n");
/// assert_eq!(count().await?.text().await?, "20\n30\n");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event<T> {
    /// The data.
    pub data: T,
    /// The id, which a client that connects again sends as `Last-Event-ID`.
    pub id: Option<String>,
    /// The name, by which a client tells events of several kinds apart; `message` for browsers if there
    /// is none.
    pub name: Option<String>,
    /// The time after which a client that lost its connection connects again.
    pub retry: Option<Duration>,
}

impl<T> Event<T> {
    /// Creates an event with this data alone.
    pub const fn new(data: T) -> Self {
        Self { data, id: None, name: None, retry: None }
    }

    /// Sets the id. An id with a line break or a NUL cannot be sent: it ends the stream with an error,
    /// and the log names it.
    #[must_use]
    pub fn id(mut self, id: impl fmt::Display) -> Self {
        self.id = Some(id.to_string());
        self
    }

    /// Sets the name. A name with a line break cannot be sent, as for an [`id`](Self::id). Serve itself
    /// uses the name `error`, for the error that ends a stream.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the time after which a client that lost its connection connects again, in whole
    /// milliseconds.
    #[must_use]
    pub fn retry(mut self, retry: Duration) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Checks the parts that are sent on lines of their own.
    pub(crate) fn check(&self) -> Result<(), Unsendable> {
        let breaks = |text: &&String| text.contains(['\n', '\r', '\0']);
        match self.id.iter().chain(&self.name).find(breaks) {
            Some(text) => Err(Unsendable::Event(text.clone())),
            None => Ok(()),
        }
    }
}

impl<T> From<T> for Event<T> {
    fn from(data: T) -> Self {
        Self::new(data)
    }
}

impl<T: JsonSchema> JsonSchema for Event<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    /// Returns the schema of the data, which is what most formats send.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}
