//! [`IntoArg`]: what may stand for a method's parameter when it is called.

use std::any::Any;
use std::fmt;

use futures::future::BoxFuture;

use super::error::UpstreamError;
use crate::deployment::ArgumentsByPlace;

/// An argument on its way: here, or still being made by another call.
pub enum Arg<T> {
    /// The value itself.
    Value(T),
    /// The result of a call that has not ended.
    Later(BoxFuture<'static, Result<T, UpstreamError>>),
}

impl<T> fmt::Debug for Arg<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value(_) => "Value(..)",
            Self::Later(_) => "Later(..)",
        })
    }
}

impl<T> Arg<T> {
    async fn resolve(self) -> Result<T, UpstreamError> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Later(later) => later.await,
        }
    }
}

/// What a handle's method takes for a parameter of type `T`.
///
/// A `T`; a `Response<T, _>` that has not been awaited, which is resolved first without
/// the caller waiting; an `ObjectRef<T>` (`T: Clone`, or an `Arc`); `&str` and `&String`
/// for `String`.
///
/// What has no type of its own, like `.into()`, `.parse()?` or `.collect()`, needs one
/// spelled out: `let name: String = name.into();`, `text.parse::<u32>()?`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be passed as an argument of type `{T}`",
    label = "expected `{T}`, `Response<{T}>` or `ObjectRef<{T}>`",
    note = "pass a value, an un-awaited `Response<{T}>` (it is resolved before the call) or an \
            `ObjectRef<{T}>`",
    note = "a stream is not a value: collect it first, \
            `let items: Vec<_> = stream.try_collect().await?;`"
)]
pub trait IntoArg<T> {
    /// The argument on its way.
    #[doc(hidden)]
    fn into_arg(self) -> Arg<T>;
}

#[diagnostic::do_not_recommend]
impl<T> IntoArg<T> for T {
    fn into_arg(self) -> Arg<T> {
        Arg::Value(self)
    }
}

impl IntoArg<String> for &str {
    fn into_arg(self) -> Arg<String> {
        Arg::Value(self.to_owned())
    }
}

impl IntoArg<String> for &String {
    fn into_arg(self) -> Arg<String> {
        Arg::Value(self.clone())
    }
}

/// The arguments of one call: a tuple of [`Arg`]s, one for each parameter.
pub trait ArgTuple {
    /// The tuple of the parameters' types.
    type Values: Send + 'static;
    /// The values, or what must be awaited for them: all at once, the first failure ends it.
    ///
    /// # Errors
    /// Not a failure: the future of the values, if one of them is not here yet.
    fn split(self)
    -> Result<Self::Values, BoxFuture<'static, Result<Self::Values, UpstreamError>>>;
}

/// Arguments that are all here.
#[derive(Debug)]
pub(crate) struct Here<A>(pub(crate) A);

impl<A: Send + 'static> ArgTuple for Here<A> {
    type Values = A;

    fn split(self) -> Result<A, BoxFuture<'static, Result<A, UpstreamError>>> {
        Ok(self.0)
    }
}

macro_rules! arg_tuple {
    ($($value:ident)*) => {
        impl<$($value: Send + 'static),*> ArgTuple for ($(Arg<$value>,)*) {
            type Values = ($($value,)*);

            #[expect(clippy::allow_attributes, reason = "the empty tuple needs fewer of these")]
            #[allow(non_snake_case, unreachable_patterns, reason = "one macro for every length")]
            #[inline]
            fn split(
                self,
            ) -> Result<Self::Values, BoxFuture<'static, Result<Self::Values, UpstreamError>>> {
                match self {
                    ($(Arg::Value($value),)*) => Ok(($($value,)*)),
                    ($($value,)*) => Err(Box::pin(async move {
                        futures::try_join!($($value.resolve()),*)
                    })),
                }
            }
        }
    };
}

macro_rules! by_place {
    ($($value:ident $place:tt)*) => {
        impl<$($value: 'static),*> ArgumentsByPlace for ($($value,)*) {
            fn at(&self, place: usize) -> Option<&dyn Any> {
                match place {
                    $($place => Some(&self.$place),)*
                    _ => None,
                }
            }
        }
    };
}

by_place!();
by_place!(A 0);
by_place!(A 0 B 1);
by_place!(A 0 B 1 C 2);
by_place!(A 0 B 1 C 2 D 3);
by_place!(A 0 B 1 C 2 D 3 E 4);
by_place!(A 0 B 1 C 2 D 3 E 4 F 5);
by_place!(A 0 B 1 C 2 D 3 E 4 F 5 G 6);
by_place!(A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7);
by_place!(A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8);
by_place!(A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9);
by_place!(A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10);
by_place!(A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11);

impl ArgTuple for () {
    type Values = ();

    fn split(self) -> Result<(), BoxFuture<'static, Result<(), UpstreamError>>> {
        Ok(())
    }
}

arg_tuple!(A);
arg_tuple!(A B);
arg_tuple!(A B C);
arg_tuple!(A B C D);
arg_tuple!(A B C D E);
arg_tuple!(A B C D E F);
arg_tuple!(A B C D E F G);
arg_tuple!(A B C D E F G H);
arg_tuple!(A B C D E F G H I);
arg_tuple!(A B C D E F G H I J);
arg_tuple!(A B C D E F G H I J K);
arg_tuple!(A B C D E F G H I J K L);
