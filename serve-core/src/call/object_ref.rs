//! [`ObjectRef`]: a shareable reference to a result that may not exist yet.

use std::any::Any;
use std::fmt;
use std::future::IntoFuture;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::argument::{Arg, IntoArg};
use super::blocking::{self, Noted};
use super::context::Directory;
use super::error::{CallError, UpstreamError};
use super::pending::panic_message;
use super::response::Response;
use super::wire::attachment::{AttachedObject, Attachment};
use super::wire::payload::{Payload, PayloadScope};
use crate::deployment::Anywhere;

/// A shareable reference to a `T` that may not exist yet.
///
/// A reference is made from a response ([`Response::object_ref`]) or from a value
/// ([`ObjectRef::put`]).
///
/// If a reference is passed for a parameter of type `T`, the callee receives the value: cloned, or
/// shared for a parameter of type `Arc<T>`. If a reference is passed for a parameter of type
/// `ObjectRef<T>`, also inside a `Vec` or a struct, the callee starts at once and awaits the
/// reference when it needs the value.
///
/// The call behind a reference runs as long as any clone of the reference exists, in any process.
/// **Dropping the last clone cancels the call.**
///
/// A reference can be serialized only as part of a call, and only if `T` can be serialized. The
/// value stays in the process that made it. Another process that receives the reference fetches the
/// value when it first awaits the reference, once for all clones in that process. If the owner of
/// the value is gone by then, awaiting the reference returns [`CallError::ObjectLost`].
pub struct ObjectRef<T> {
    object: Arc<Object<T>>,
}

type Coming<T> = Shared<BoxFuture<'static, Result<Arc<T>, CallError>>>;

/// Makes a future that several tasks can await. A panic in the future, from the user's
/// `Deserialize` or `Display`, becomes an error for each of the tasks. Otherwise the panic would
/// fail the task that polls, and the other tasks would not be woken.
fn shared<T: Send + Sync + 'static>(
    value: impl Future<Output = Result<Arc<T>, CallError>> + Send + 'static,
) -> Coming<T> {
    let value = AssertUnwindSafe(value).catch_unwind();
    let value = value.map(|ended| {
        ended.unwrap_or_else(|panic| Err(CallError::Panicked(panic_message(&*panic))))
    });
    value.boxed().shared()
}

enum Object<T> {
    Here(Arc<T>),
    /// The result of a call.
    Coming(Coming<T>),
    /// A value in another process, fetched from its owner when the reference is first awaited.
    Elsewhere {
        owner: Arc<dyn AttachedObject>,
        value: Coming<T>,
    },
}

impl<T: Send + Sync + 'static> ObjectRef<T> {
    /// Creates a reference to a value in this process.
    pub fn put(value: T) -> Self {
        Self { object: Arc::new(Object::Here(Arc::new(value))) }
    }

    pub(crate) fn from_response<E>(response: Response<T, E>) -> Self
    where
        E: fmt::Display + fmt::Debug + Send + 'static,
    {
        let mut response = response;
        // The call begins even if the reference is never awaited.
        response.begin();
        let coming = async move {
            match (&mut response).await {
                Ok(value) => Ok(Arc::new(value)),
                Err(error) => {
                    Err(CallError::Upstream(UpstreamError::from_call(response.full_name(), &error)))
                }
            }
        };
        Self { object: Arc::new(Object::Coming(shared(coming))) }
    }

    /// Waits for the value and returns it shared, without copying it.
    ///
    /// # Errors
    /// [`CallError::Upstream`] with the producer's failure inside, and
    /// [`CallError::ObjectLost`] if the process that owned the value is gone.
    pub async fn get(&self) -> Result<Arc<T>, CallError> {
        match &*self.object {
            Object::Here(value) => Ok(Arc::clone(value)),
            Object::Coming(value) | Object::Elsewhere { value, .. } => {
                Noted::new(value.clone()).await
            }
        }
    }

    /// Blocks the thread until the value is there, for synchronous code such as a `#[blocking]`
    /// method. Returns the value as awaiting the reference does.
    ///
    /// # Errors
    /// The errors of [`get`](Self::get). Also [`CallError::BlockingInAsync`] if a tokio context is
    /// current, except on the threads of `#[blocking]` methods.
    pub fn result(self) -> Result<T, CallError>
    where
        T: Clone,
    {
        if !blocking::may_block() {
            return Err(CallError::BlockingInAsync);
        }
        blocking::wait(self.take())
    }

    /// Waits for the value and returns it: moved out if this is the last reference, else cloned.
    async fn take(self) -> Result<T, CallError>
    where
        T: Clone,
    {
        let value = self.get().await?;
        drop(self);
        Ok(Arc::try_unwrap(value).unwrap_or_else(|shared| T::clone(&shared)))
    }
}

impl<T> Clone for ObjectRef<T> {
    fn clone(&self) -> Self {
        Self { object: Arc::clone(&self.object) }
    }
}

impl<T> fmt::Debug for ObjectRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ready = match &*self.object {
            Object::Here(_) => true,
            Object::Coming(value) | Object::Elsewhere { value, .. } => value.peek().is_some(),
        };
        f.debug_struct("ObjectRef").field("ready", &ready).finish_non_exhaustive()
    }
}

impl<T: Clone + Send + Sync + 'static> IntoFuture for ObjectRef<T> {
    type Output = Result<T, CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.take().boxed()
    }
}

impl<T: Clone + Send + Sync + 'static> IntoFuture for &ObjectRef<T> {
    type Output = Result<T, CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.clone().into_future()
    }
}

impl<T: Clone + Send + Sync + 'static> IntoArg<T> for ObjectRef<T> {
    fn into_arg(self) -> Arg<T> {
        Arg::Later(async move { self.take().await.map_err(UpstreamError::of_reference) }.boxed())
    }
}

impl<T: Clone + Send + Sync + 'static> IntoArg<T> for &ObjectRef<T> {
    fn into_arg(self) -> Arg<T> {
        self.clone().into_arg()
    }
}

impl<T: Send + Sync + 'static> IntoArg<Arc<T>> for ObjectRef<T> {
    fn into_arg(self) -> Arg<Arc<T>> {
        Arg::Later(async move { self.get().await.map_err(UpstreamError::of_reference) }.boxed())
    }
}

/// An object that a value refers to, with the type by which the object is serialized.
struct Owned<T>(ObjectRef<T>);

impl<T> AttachedObject for Owned<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    fn local(&self) -> Option<&(dyn Any + Send + Sync)> {
        Some(&self.0)
    }

    fn fetch(self: Arc<Self>) -> BoxFuture<'static, Result<Payload, CallError>> {
        async move { Payload::of::<Anywhere, T>(&*self.0.get().await?) }.boxed()
    }
}

impl<T> ObjectRef<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    fn elsewhere(owner: Arc<dyn AttachedObject>, directory: Option<Arc<dyn Directory>>) -> Self {
        let source = Arc::clone(&owner);
        let value = async move {
            let payload = source.fetch().await?;
            payload.read::<Anywhere, T>(directory.as_ref()).map(Arc::new)
        };
        Self { object: Arc::new(Object::Elsewhere { owner, value: shared(value) }) }
    }
}

impl<T> Serialize for ObjectRef<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let object: Arc<dyn AttachedObject> = match &*self.object {
            // Passed on as it came, without reading the value.
            Object::Elsewhere { owner, .. } => Arc::clone(owner),
            Object::Here(_) | Object::Coming(_) => Arc::new(Owned(self.clone())),
        };
        match PayloadScope::attach(Attachment::Object(object)) {
            Some(index) => serializer.serialize_u64(index),
            None => Err(serde::ser::Error::custom(
                "an `ObjectRef` can be serialized only as part of a call",
            )),
        }
    }
}

impl<'de, T> Deserialize<'de> for ObjectRef<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let index = u64::deserialize(deserializer)?;
        let Some(Attachment::Object(object)) = PayloadScope::attachment(index) else {
            return Err(serde::de::Error::custom(
                "an `ObjectRef` can be read only as part of the call it came in",
            ));
        };
        match object.local() {
            None => Ok(Self::elsewhere(object, PayloadScope::directory())),
            Some(local) => local.downcast_ref().cloned().ok_or_else(|| {
                serde::de::Error::custom("an `ObjectRef` was read as one of another type")
            }),
        }
    }
}

impl<T, E> Response<T, E>
where
    T: Send + 'static,
    E: Send + 'static,
{
    /// Returns a shareable reference to the result, which may not exist yet.
    ///
    /// The call runs as long as any clone of the reference exists. Dropping the last clone cancels
    /// the call.
    pub fn object_ref(self) -> ObjectRef<T>
    where
        T: Sync,
        E: fmt::Display + fmt::Debug,
    {
        ObjectRef::from_response(self)
    }
}

impl<T, E> IntoArg<ObjectRef<T>> for Response<T, E>
where
    T: Send + Sync + 'static,
    E: fmt::Display + fmt::Debug + Send + 'static,
{
    fn into_arg(self) -> Arg<ObjectRef<T>> {
        Arg::Value(self.object_ref())
    }
}
