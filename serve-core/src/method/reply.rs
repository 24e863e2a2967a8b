//! [`Reply`]: the end of a replica's part in a call.

use crate::call::CallError;

/// The end of a replica's part in a call: a result, or the arguments handed back.
///
/// A call is given back if its replica ended before the method began. The call then goes to
/// another replica with the same arguments, which its caller does not notice.
#[derive(Debug)]
pub enum Reply<T, E, A> {
    /// The method's result, or the failure that kept the method from returning a result.
    Answer(Result<T, CallError<E>>),
    /// The method did not begin. Holds the arguments for the next replica.
    GivenBack(A),
}

/// The output that the future of a method may have: a plain result, or a [`Reply`].
#[doc(hidden)]
pub trait IntoReply<T, E, A> {
    /// The output as a [`Reply`].
    fn into_reply(self) -> Reply<T, E, A>;
}

impl<T, E, A> IntoReply<T, E, A> for Result<T, CallError<E>> {
    #[inline]
    fn into_reply(self) -> Reply<T, E, A> {
        Reply::Answer(self)
    }
}

impl<T, E, A> IntoReply<T, E, A> for Reply<T, E, A> {
    #[inline]
    fn into_reply(self) -> Self {
        self
    }
}
