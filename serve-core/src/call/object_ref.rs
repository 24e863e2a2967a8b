//! [`ObjectRef`]: a shareable reference to a result that may not exist yet.

use std::any::Any;
use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::argument::{Arg, IntoArg};
use super::codec::Session;
use super::error::{CallError, UpstreamError};
use super::pending::PendingCall;
use super::response::Response;

/// A shareable reference to a `T` that may not exist yet.
///
/// Made of a response ([`Response::object_ref`]) or of a value ([`ObjectRef::put`]).
/// Passed where a `T` is due, the value arrives (cloned; for an `Arc<T>` parameter,
/// shared). Passed where an `ObjectRef<T>` is due, also inside a `Vec` or a struct, the
/// callee starts at once and awaits the reference when it wants to.
///
/// The call behind it runs on while any clone lives. **Dropping the last clone cancels
/// it.** It can be serialized only as part of a call.
pub struct ObjectRef<T> {
    object: Arc<Object<T>>,
}

type Coming<T> = Shared<BoxFuture<'static, Result<Arc<T>, UpstreamError>>>;

enum Object<T> {
    Here(Arc<T>),
    Coming(Coming<T>),
}

impl<T: Send + Sync + 'static> ObjectRef<T> {
    /// A reference to a value that is here.
    pub fn put(value: T) -> Self {
        Self { object: Arc::new(Object::Here(Arc::new(value))) }
    }

    pub(crate) fn from_response<E>(response: Response<T, E>) -> Self
    where
        E: fmt::Display + fmt::Debug + Send + 'static,
    {
        let coming = async move {
            let mut response = response;
            match (&mut response).await {
                Ok(value) => Ok(Arc::new(value)),
                Err(error) => Err(PendingCall::upstream(response.full_name(), &error)),
            }
        };
        Self { object: Arc::new(Object::Coming(coming.boxed().shared())) }
    }

    /// Waits for the value and shares it; nothing is copied.
    ///
    /// # Errors
    /// [`CallError::Upstream`] with the producer's failure inside.
    pub async fn get(&self) -> Result<Arc<T>, CallError> {
        self.share().await.map_err(CallError::Upstream)
    }

    async fn share(&self) -> Result<Arc<T>, UpstreamError> {
        match &*self.object {
            Object::Here(value) => Ok(Arc::clone(value)),
            Object::Coming(coming) => coming.clone().await,
        }
    }

    /// The value itself: moved out of the last reference, else cloned.
    async fn take(self) -> Result<T, UpstreamError>
    where
        T: Clone,
    {
        let value = self.share().await?;
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
            Object::Coming(coming) => coming.peek().is_some(),
        };
        f.debug_struct("ObjectRef").field("ready", &ready).finish_non_exhaustive()
    }
}

impl<T: Clone + Send + Sync + 'static> IntoFuture for ObjectRef<T> {
    type Output = Result<T, CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move { self.take().await.map_err(CallError::Upstream) }.boxed()
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
        Arg::Later(self.take().boxed())
    }
}

impl<T: Clone + Send + Sync + 'static> IntoArg<T> for &ObjectRef<T> {
    fn into_arg(self) -> Arg<T> {
        self.clone().into_arg()
    }
}

impl<T: Send + Sync + 'static> IntoArg<Arc<T>> for ObjectRef<T> {
    fn into_arg(self) -> Arg<Arc<T>> {
        Arg::Later(async move { self.share().await }.boxed())
    }
}

impl<T: Send + Sync + 'static> Serialize for ObjectRef<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let object: Arc<dyn Any + Send + Sync> = Arc::clone(&self.object) as _;
        match Session::add_object(object) {
            Some(index) => serializer.serialize_u64(index),
            None => Err(serde::ser::Error::custom(
                "an `ObjectRef` can be serialized only as part of a call",
            )),
        }
    }
}

impl<'de, T: Send + Sync + 'static> Deserialize<'de> for ObjectRef<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let index = u64::deserialize(deserializer)?;
        let object = Session::object(index).and_then(|object| object.downcast().ok());
        object.map(|object| Self { object }).ok_or_else(|| {
            serde::de::Error::custom(
                "an `ObjectRef` can be read only as part of the call it came in",
            )
        })
    }
}
