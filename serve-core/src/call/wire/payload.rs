//! [`Payload`]: the bytes of a value, and its attachments.
//!
//! Payloads are [MessagePack](message_pack) with named fields, which is self-describing, so that
//! every serde type survives. [`Wire`] is the bound of types that can travel, and of all types in
//! deployments whose calls stay in their process.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{DeserializeOwned, DeserializeSeed};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::attachment::Attachment;
use super::message_pack;
use crate::call::context::Directory;
use crate::call::error::CallError;
use crate::deployment::{Anywhere, InProcess};

/// A type that may cross a handle of a deployment whose locality is `L`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross a handle",
    label = "this type cannot be sent to another process",
    note = "derive `serde::Serialize` and `serde::Deserialize` for `{Self}`; it must also be `Send` \
            and own its data",
    note = "an `Arc<T>` needs serde's feature `rc`: \
            `serde = {{ version = \"1\", features = [\"derive\", \"rc\"] }}`",
    note = "or keep the deployment in its callers' process: `#[deployment(local)]`",
    note = "for an error, return `serve_core::Result<T>`: `?` turns any standard error into its error"
)]
pub trait Wire<L>: Send + Sized + 'static {
    /// Writes the value, or fails if the deployment's calls stay in their process.
    #[doc(hidden)]
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
    /// Reads a value, or fails if the deployment's calls stay in their process.
    #[doc(hidden)]
    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Wire<Anywhere> for T {
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.serialize(serializer)
    }

    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer)
    }
}

const STAYS: &str = "the deployment is `#[deployment(local)]`: its calls stay in the process";

#[diagnostic::do_not_recommend]
impl<T: Send + 'static> Wire<InProcess> for T {
    fn encode<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(STAYS))
    }

    fn decode<'de, D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom(STAYS))
    }
}

/// A `Wire<L>` value that serde can write.
pub(crate) struct OutgoingValue<'a, L, T>(&'a T, PhantomData<L>);

impl<'a, L, T> OutgoingValue<'a, L, T> {
    pub(crate) fn new(value: &'a T) -> Self {
        Self(value, PhantomData)
    }
}

impl<L, T: Wire<L>> Serialize for OutgoingValue<'_, L, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.encode(serializer)
    }
}

/// A `Wire<L>` value that serde can read.
pub(crate) struct IncomingValue<L, T>(pub(crate) T, PhantomData<L>);

impl<'de, L, T: Wire<L>> Deserialize<'de> for IncomingValue<L, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::decode(deserializer).map(|value| Self(value, PhantomData))
    }
}

/// The codec by which a method's error travels.
pub trait ErrorCodec<E>: 'static {
    /// Encodes the error.
    ///
    /// # Errors
    /// [`CallError::Codec`] with serde's message.
    fn encode(error: &E) -> Result<Payload, CallError>;
    /// Decodes the error.
    ///
    /// # Errors
    /// [`CallError::Codec`] with serde's message.
    fn decode(payload: &Payload, directory: Option<&Arc<dyn Directory>>) -> Result<E, CallError>;
}

/// The codec of methods that cannot fail.
#[derive(Debug)]
pub enum NoError {}

impl ErrorCodec<Infallible> for NoError {
    fn encode(error: &Infallible) -> Result<Payload, CallError> {
        match *error {}
    }

    fn decode(_: &Payload, _: Option<&Arc<dyn Directory>>) -> Result<Infallible, CallError> {
        Err(CallError::Codec("an error came from a method that has none".to_owned()))
    }
}

/// The codec of methods whose error is a [`Wire`] type.
#[derive(Debug)]
pub struct WireError<L>(PhantomData<L>);

impl<L: 'static, E: Wire<L>> ErrorCodec<E> for WireError<L> {
    fn encode(error: &E) -> Result<Payload, CallError> {
        Payload::of::<L, E>(error)
    }

    fn decode(payload: &Payload, directory: Option<&Arc<dyn Directory>>) -> Result<E, CallError> {
        payload.read::<L, E>(directory)
    }
}

/// The bytes of a value, and its attachments: the objects and streams that the value refers to.
/// The bytes name an attachment by its index.
#[derive(Clone, Default)]
pub struct Payload {
    pub(crate) bytes: Bytes,
    pub(crate) attachments: Vec<Attachment>,
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("bytes", &self.bytes.len())
            .field("attachments", &self.attachments.len())
            .finish()
    }
}

impl Payload {
    pub(crate) fn of<L, T: Wire<L>>(value: &T) -> Result<Self, CallError> {
        Self::write(&OutgoingValue::<L, T>::new(value))
    }

    pub(crate) fn write(value: &impl Serialize) -> Result<Self, CallError> {
        let (written, session) =
            PayloadScope::run(PayloadScope::default(), || message_pack::to_bytes(value));
        match written {
            Ok(bytes) => Ok(Self { bytes: bytes.into(), attachments: session.attachments }),
            Err(error) => Err(CallError::Codec(error.to_string())),
        }
    }

    /// Reads a value. Handles in it find their deployments in `directory`.
    pub(crate) fn read<L, T: Wire<L>>(
        &self,
        directory: Option<&Arc<dyn Directory>>,
    ) -> Result<T, CallError> {
        self.read_with(directory, PhantomData::<IncomingValue<L, T>>).map(|incoming| incoming.0)
    }

    pub(crate) fn read_with<S: for<'de> DeserializeSeed<'de, Value = T> + Clone, T>(
        &self,
        directory: Option<&Arc<dyn Directory>>,
        seed: S,
    ) -> Result<T, CallError> {
        let attachments = self.attachments.clone();
        let session = PayloadScope { attachments, directory: directory.cloned() };
        let (read, _) = PayloadScope::run(session, || message_pack::from_bytes(&self.bytes, seed));
        read.map_err(|error| CallError::Codec(error.to_string()))
    }
}

thread_local! {
    static SESSION: RefCell<Option<PayloadScope>> = const { RefCell::new(None) };
}

/// The state of writing or reading one payload: its attachments, and the directory in which
/// handles are looked up.
///
/// Kept in a thread-local, because serde cannot pass state to values inside of other values.
#[derive(Default)]
pub(crate) struct PayloadScope {
    attachments: Vec<Attachment>,
    directory: Option<Arc<dyn Directory>>,
}

impl PayloadScope {
    fn run<R>(session: Self, f: impl FnOnce() -> R) -> (R, Self) {
        /// Restores the outer session, also if `f` panics.
        struct Restore(Option<PayloadScope>);
        impl Drop for Restore {
            fn drop(&mut self) {
                SESSION.set(self.0.take());
            }
        }
        let _restore = Restore(SESSION.replace(Some(session)));
        let result = f();
        (result, SESSION.take().unwrap_or_default())
    }

    /// True while a payload is written or read on this thread.
    pub(crate) fn is_open() -> bool {
        SESSION.with_borrow(Option::is_some)
    }

    /// Adds an attachment to the payload that is being written. Returns its index; none if no
    /// payload is being written.
    pub(crate) fn attach(attachment: Attachment) -> Option<u64> {
        SESSION.with_borrow_mut(|session| {
            let attachments = &mut session.as_mut()?.attachments;
            attachments.push(attachment);
            Some(attachments.len() as u64 - 1)
        })
    }

    /// The attachment with this index, of the payload that is being read.
    pub(crate) fn attachment(index: u64) -> Option<Attachment> {
        SESSION.with_borrow(|session| {
            session.as_ref()?.attachments.get(usize::try_from(index).ok()?).cloned()
        })
    }

    pub(crate) fn directory() -> Option<Arc<dyn Directory>> {
        SESSION.with_borrow(|session| session.as_ref()?.directory.clone())
    }
}
