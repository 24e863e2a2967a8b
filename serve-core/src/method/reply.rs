//! [`Reply`]: how a replica's part in a call ends.

use crate::call::CallError;

/// How a replica's part in a call ends: with a result, or with the arguments handed back.
///
/// A call is given back if its replica ended before the method began. Then the call goes
/// to another replica, with the same arguments, and nobody can tell.
#[derive(Debug)]
pub enum Reply<T, E, A> {
    /// The method's result, or what kept the method from giving one.
    Answer(Result<T, CallError<E>>),
    /// The method did not begin. These are the arguments for the next replica.
    GivenBack(A),
}

/// What the future of a method may give: a plain result, or a [`Reply`].
#[doc(hidden)]
pub trait IntoReply<T, E, A> {
    /// The reply.
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
