//! The bulk of the code that the attribute macros generate, in a place where it can be read; and
//! the macros that register a type under a name.

mod handle;
mod http;

/// Registers a [`RequestRouter`](crate::routing::RequestRouter) under a name, so that a config file can say
/// `request_router: by_length`. The type must implement `Default`.
///
/// ```
/// use serve_core::routing::{Candidate, Candidates, RequestRouter, RoutedCall};
///
/// #[derive(Default)]
/// struct First;
///
/// impl RequestRouter for First {
///     fn choose<'a>(&self, _: &RoutedCall<'_>, all: &Candidates<'a>) -> Option<Candidate<'a>> {
///         all.iter().next()
///     }
/// }
///
/// serve_core::routing::register_request_router!("first", First);
/// # fn main() {}
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __register_request_router {
    ($name:literal, $router:ty $(,)?) => {
        const _: () = {
            use $crate::__private::inventory;
            inventory::submit! {
                $crate::__private::NamedRouter {
                    name: $name,
                    make: $crate::__private::RequestRouting::custom::<$router>,
                }
            }
        };
    };
}

/// Registers an [`AutoscalingPolicy`](crate::autoscaling::AutoscalingPolicy) under a name, so that a config file
/// can say `autoscaling_policy: one_for_ten`. The type must implement `Default`.
///
/// ```
/// use serve_core::autoscaling::{AutoscalingContext, AutoscalingPolicy};
///
/// #[derive(Default)]
/// struct OneForTen;
///
/// impl AutoscalingPolicy for OneForTen {
///     fn desired_replicas(&self, context: &AutoscalingContext<'_>) -> f64 {
///         context.load / 10.0
///     }
/// }
///
/// serve_core::autoscaling::register_autoscaling_policy!("one_for_ten", OneForTen);
/// # fn main() {}
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __register_autoscaling_policy {
    ($name:literal, $policy:ty $(,)?) => {
        const _: () = {
            use $crate::__private::inventory;
            inventory::submit! {
                $crate::__private::NamedPolicy {
                    name: $name,
                    make: $crate::__private::SharedPolicy::named::<$policy>,
                }
            }
        };
    };
}

/// Registers an error format under a name, so that the option `error_format` can name it: a function
/// from an [`HttpError`](crate::http::HttpError) to a response.
///
/// The status of the response is what the function sets. Headers that belong to the error, such as
/// `Retry-After` and `Allow`, are added to those that the function sets. In a stream that has begun, an
/// error is the JSON that the function returns.
///
/// ```
/// use serve_core::axum::Json;
/// use serve_core::axum::response::{IntoResponse, Response};
/// use serve_core::http::HttpError;
///
/// fn brief(error: &HttpError) -> Response {
///     (error.status(), Json(serde_json::json!({ "oops": error.message() }))).into_response()
/// }
///
/// serve_core::http::register_error_format!("brief", brief);
/// # fn main() {}
/// ```
#[cfg(feature = "http")]
#[doc(hidden)]
#[macro_export]
macro_rules! __register_error_format {
    ($name:literal, $form:expr $(,)?) => {
        const _: () = {
            use $crate::__private::inventory;
            inventory::submit! { $crate::__private::ErrorFormatName($name) }
            inventory::submit! {
                $crate::__private::NamedErrorFormat { name: $name, form: $form }
            }
        };
    };
}

/// The items of `Deployment`, which `#[deployment]` implements for a struct.
#[doc(hidden)]
#[macro_export]
macro_rules! __deployment_items {
    ($handle:ident, $text:literal, $locality:ident, { $($settings:tt)* }) => {
        const NAME: &'static ::core::primitive::str = $text;
        type Handle = $handle;
        type Locality = $crate::__private::$locality;

        fn options() -> $crate::__private::DeploymentOptions {
            #[allow(unused_mut, reason = "there may be no option")]
            let mut options: $crate::__private::DeploymentOptions =
                ::core::default::Default::default();
            $crate::__settings!(options, $($settings)*);
            options
        }
    };
}

/// The items of `IntoMock`, which `#[deployment]` implements for the mock.
#[doc(hidden)]
#[macro_export]
macro_rules! __mock_items {
    ($name:ident) => {
        fn into_mock(self) -> $crate::__private::Mock<$name> {
            self.mock
        }

        fn from_mock(mock: $crate::__private::Mock<$name>) -> Self {
            Self { mock }
        }
    };
}

/// The implementations that `#[deployment]` generates for the handle and the mock of a struct.
#[doc(hidden)]
#[macro_export]
macro_rules! __deployment {
    ($name:ident, $handle:ident, $mock:ident) => {
        const _: () = {
            use $crate::__private;

            #[automatically_derived]
            impl __private::HandleOf for $handle {
                type Deployment = $name;

                fn connect(link: __private::Link) -> Self {
                    Self { inner: __private::Handle::connect(link) }
                }
            }

            #[automatically_derived]
            impl __private::DeploymentHandle for $handle {
                fn handle(&self) -> &__private::Handle<$name> {
                    &self.inner
                }

                fn handle_mut(&mut self) -> &mut __private::Handle<$name> {
                    &mut self.inner
                }
            }

            #[automatically_derived]
            impl ::core::clone::Clone for $handle {
                fn clone(&self) -> Self {
                    Self { inner: ::core::clone::Clone::clone(&self.inner) }
                }
            }

            #[automatically_derived]
            impl ::core::fmt::Debug for $handle {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    ::core::fmt::Debug::fmt(&self.inner, f)
                }
            }

            #[automatically_derived]
            impl __private::serde::Serialize for $handle {
                fn serialize<S: __private::serde::Serializer>(
                    &self,
                    serializer: S,
                ) -> ::core::result::Result<S::Ok, S::Error> {
                    __private::serde::Serialize::serialize(&self.inner, serializer)
                }
            }

            #[automatically_derived]
            impl<'de> __private::serde::Deserialize<'de> for $handle {
                fn deserialize<D: __private::serde::Deserializer<'de>>(
                    deserializer: D,
                ) -> ::core::result::Result<Self, D::Error> {
                    let inner = __private::serde::Deserialize::deserialize(deserializer)?;
                    ::core::result::Result::Ok(Self { inner })
                }
            }

            #[allow(dead_code, reason = "mocks are for tests")]
            impl $mock {
                /// Creates a mock with no answers.
                #[must_use]
                pub fn new() -> Self {
                    Self { mock: __private::Mock::new() }
                }

                /// Mocks only the deployment of this name. Without a name, every deployment of the
                /// type is mocked. If no such deployment exists until the mock runtime is dropped,
                /// that drop panics.
                #[must_use]
                #[track_caller]
                pub fn named(self, name: &::core::primitive::str) -> Self {
                    Self { mock: self.mock.named(name) }
                }
            }

            #[automatically_derived]
            impl ::core::default::Default for $mock {
                fn default() -> Self {
                    Self::new()
                }
            }

            #[automatically_derived]
            impl ::core::fmt::Debug for $mock {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    ::core::fmt::Debug::fmt(&self.mock, f)
                }
            }
        };
    };
}

/// Expands to `options.x = Some(..);` for each option, with this crate's `options` in scope.
#[doc(hidden)]
#[macro_export]
macro_rules! __settings {
    ($options:ident,) => {};
    ($options:ident, options.$option:ident = $value:expr; $($rest:tt)*) => {
        $options.$option = $value;
        $crate::__settings!($options, $($rest)*);
    };
    ($options:ident, options.resources.insert($name:expr, $amount:expr); $($rest:tt)*) => {
        $options.resources.insert($name, $amount);
        $crate::__settings!($options, $($rest)*);
    };
}
