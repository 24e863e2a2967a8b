//! [`Attachment`]: an object or a stream that a value refers to, and that is not in the value's
//! bytes.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use parking_lot::Mutex;

use super::payload::Payload;
use crate::call::CallError;

/// An object or a stream that a value refers to, and that is not in the value's bytes.
#[derive(Clone)]
pub(crate) enum Attachment {
    /// An object that stays in the process that made it.
    Object(Arc<dyn AttachedObject>),
    /// A stream whose items are made when its reader pulls them.
    Stream(Arc<AttachedStream>),
}

/// An object that a value refers to, in this process or with its owner in another one.
pub(crate) trait AttachedObject: Send + Sync {
    /// The `ObjectRef<T>` itself, if the value never left this process.
    fn local(&self) -> Option<&(dyn Any + Send + Sync)>;

    /// The object's value as bytes, as soon as the value exists.
    fn fetch(self: Arc<Self>) -> BoxFuture<'static, Result<Payload, CallError>>;
}

/// The items of a stream as bytes.
pub(crate) type PayloadStream = BoxStream<'static, Result<Payload, CallError>>;

/// A stream that a value refers to. Its items can be taken once.
pub(crate) struct AttachedStream(Mutex<Option<PayloadStream>>);

impl AttachedStream {
    pub(crate) fn new(items: PayloadStream) -> Self {
        Self(Mutex::new(Some(items)))
    }

    /// The items; none if they were taken before.
    pub(crate) fn take(&self) -> Option<PayloadStream> {
        self.0.lock().take()
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object(_) => "Attachment::Object",
            Self::Stream(_) => "Attachment::Stream",
        })
    }
}
