//! [`IntoArg`]: the values that can be passed for a parameter of a handle's method.

use std::any::Any;
use std::fmt;

use futures::future::BoxFuture;

use super::error::UpstreamError;
use crate::deployment::ArgumentsByPlace;

/// An argument of a call: a value, or the result of another call that has not ended.
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

/// A value that can be passed for a parameter of type `T` of a handle's method.
///
/// The value can be:
///
/// * a `T`;
/// * a `Response<T, _>` that has not been awaited, which is resolved before the call begins,
///   without the caller waiting;
/// * an `ObjectRef<T>`, if `T` is `Clone`, or an `ObjectRef<U>` if `T` is an `Arc<U>`;
/// * a `&str` or a `&String`, if `T` is `String`;
/// * a `Response<U, _>`, if `T` is an `ObjectRef<U>`;
/// * a `ResponseStream<U, _>` or any stream of `U`, if `T` is an `InputStream<U>`.
///
/// An expression whose type is inferred, such as `.into()`, `.parse()?` or `.collect()`, needs its
/// type spelled out: `let name: String = name.into();`, `text.parse::<u32>()?`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be passed as an argument of type `{T}`",
    label = "expected `{T}`, `Response<{T}>` or `ObjectRef<{T}>`",
    note = "pass a value, an un-awaited `Response<{T}>` (it is resolved before the call) or an \
            `ObjectRef<{T}>`",
    note = "a stream is not a value: collect it first, \
            `let items: Vec<_> = stream.try_collect().await?;`"
)]
pub trait IntoArg<T> {
    /// Converts the value into an argument of a call.
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
    /// Returns the values if all of them are there. Otherwise returns a future that awaits all of
    /// them concurrently and ends with the first failure.
    ///
    /// # Errors
    /// The future of the values, if a value is not there yet. This is not a failure.
    fn split(self)
    -> Result<Self::Values, BoxFuture<'static, Result<Self::Values, UpstreamError>>>;
}

/// Arguments whose values are all there.
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
