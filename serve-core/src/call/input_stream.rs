//! [`InputStream`]: a stream as an argument of a call.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::argument::{Arg, IntoArg};
use super::blocking;
use super::error::{CallError, UpstreamError};
use super::stream::ResponseStream;
use super::wire::attachment::{AttachedStream, Attachment};
use super::wire::payload::{Payload, PayloadScope};
use crate::deployment::Anywhere;

/// A stream as an argument of a call.
///
/// The caller passes a [`ResponseStream`] of another call, or any `Stream` of `T`. The method reads
/// a stream of `Result<T, CallError>`.
///
/// The method starts at once and reads items when it needs them. Items are made only as fast as
/// they are read, as far as the producer can be made to wait. If the call that produces the items
/// fails, the last item is that failure, as [`CallError::Upstream`].
///
/// **Dropping the stream stops its producer.** The stream is dropped together with the call that it
/// was passed to.
///
/// ```
/// use serve_core::prelude::*;
/// # use serve_core::futures;
///
/// #[deployment]
/// #[derive(Default)]
/// struct Adder;
///
/// #[handle]
/// impl Adder {
///     pub async fn sum(&self, numbers: InputStream<i64>) -> Result<i64> {
///         Ok(numbers.try_fold(0, |sum, number| async move { Ok(sum + number) }).await?)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> serve_core::Result<()> {
/// let runtime = Runtime::builder().start().await?;
/// let adder = runtime.run(Adder::bind()).await?;
/// assert_eq!(adder.sum(futures::stream::iter([1, 2, 3])).await?, 6);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a stream stops its producer"]
pub struct InputStream<T> {
    /// The items, until the stream is sent to another process.
    items: Mutex<Option<BoxStream<'static, Result<T, CallError>>>>,
}

impl<T: Send + 'static> InputStream<T> {
    /// Creates a stream of these items.
    pub fn new(items: impl Stream<Item = T> + Send + 'static) -> Self {
        Self::of_results(items.map(Ok))
    }

    /// Returns an iterator over the items, for synchronous code such as a `#[blocking]` method. The
    /// iterator blocks the thread until the next item is there. Dropping the iterator stops the
    /// producer.
    ///
    /// On a thread where blocking would stop async work, the iterator returns one
    /// [`CallError::BlockingInAsync`] and ends.
    ///
    /// ```
    /// use serve_core::prelude::*;
    ///
    /// #[deployment]
    /// #[derive(Default)]
    /// struct Hasher;
    ///
    /// #[handle]
    /// impl Hasher {
    ///     #[blocking]
    ///     pub fn checksum(&self, chunks: InputStream<Vec<u8>>) -> Result<u64> {
    ///         let mut sum = 0;
    ///         for chunk in chunks.blocking_iter() {
    ///             sum += chunk?.into_iter().map(u64::from).sum::<u64>();
    ///         }
    ///         Ok(sum)
    ///     }
    /// }
    /// ```
    pub fn blocking_iter(self) -> impl Iterator<Item = Result<T, CallError>> + Send {
        let mut items = Some(self);
        std::iter::from_fn(move || {
            if items.is_some() && !blocking::may_block() {
                items = None;
                return Some(Err(CallError::BlockingInAsync));
            }
            let item = blocking::wait(items.as_mut()?.next());
            if item.is_none() {
                items = None;
            }
            item
        })
    }

    fn of_results(items: impl Stream<Item = Result<T, CallError>> + Send + 'static) -> Self {
        Self { items: Mutex::new(Some(items.boxed())) }
    }
}

impl<T> Stream for InputStream<T> {
    type Item = Result<T, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(items) = self.items.get_mut() else { return Poll::Ready(None) };
        let polled = items.poll_next_unpin(cx);
        blocking::polled(polled.is_pending());
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &*self.items.lock() {
            Some(items) => items.size_hint(),
            None => (0, Some(0)),
        }
    }
}

impl<T> fmt::Debug for InputStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InputStream")
    }
}

impl<T, E> IntoArg<InputStream<T>> for ResponseStream<T, E>
where
    T: Send + 'static,
    E: fmt::Display + fmt::Debug + Send + 'static,
{
    fn into_arg(self) -> Arg<InputStream<T>> {
        let producer = self.full_name();
        let items = self.map(move |item| {
            item.map_err(|error| {
                CallError::Upstream(UpstreamError::from_call(producer.clone(), &error))
            })
        });
        Arg::Value(InputStream::of_results(items))
    }
}

#[diagnostic::do_not_recommend]
impl<T, S> IntoArg<InputStream<T>> for S
where
    T: Send + 'static,
    S: Stream<Item = T> + Send + 'static,
{
    fn into_arg(self) -> Arg<InputStream<T>> {
        Arg::Value(InputStream::new(self))
    }
}

impl<T> Serialize for InputStream<T>
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        if !PayloadScope::is_open() {
            return Err(S::Error::custom("an `InputStream` can be sent only as part of a call"));
        }
        let items = self.items.lock().take();
        let items = items.ok_or_else(|| S::Error::custom("an `InputStream` can be sent once"))?;
        let items = items.map(|item| Payload::of::<Anywhere, T>(&item?)).boxed();
        let stream = Attachment::Stream(Arc::new(AttachedStream::new(items)));
        let index = PayloadScope::attach(stream).expect("the session is open");
        serializer.serialize_u64(index)
    }
}

impl<'de, T> Deserialize<'de> for InputStream<T>
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let index = u64::deserialize(deserializer)?;
        let items = match PayloadScope::attachment(index) {
            Some(Attachment::Stream(stream)) => stream.take(),
            _ => None,
        };
        let items = items.ok_or_else(|| {
            serde::de::Error::custom(
                "an `InputStream` can be read only as part of the call it came in",
            )
        })?;
        let directory = PayloadScope::directory();
        Ok(Self::of_results(items.map(move |item| item?.read::<Anywhere, T>(directory.as_ref()))))
    }
}
