//! The code of `#[handle]` for HTTP: endpoints, WebSockets and `#[routes]`.
//!
//! An endpoint is one group of tokens beside its method, which [`__http!`](crate::__http) reads:
//!
//! ```text
//! endpoint { MARKER VERB PATH (PLACE TYPE, ..) -> One(OK, ERR) OPTIONS }
//! ```
//!
//! Without the feature `http`, each use is a compile error that names the feature.

/// The bound of the types of an endpoint.
#[cfg(feature = "http")]
#[doc(hidden)]
#[macro_export]
macro_rules! __check_endpoint {
    ($ty:ty) => {
        const _: () = $crate::__private::assert_endpoint::<$ty>();
    };
}

/// Without the feature `http`, `__http!` is the compile error.
#[cfg(not(feature = "http"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __check_endpoint {
    ($ty:ty) => {};
}

/// `Handlers::ROUTES`, for a block with a `#[routes]` method.
#[doc(hidden)]
#[macro_export]
macro_rules! __routes {
    ($name:ident) => {
        const ROUTES: ::core::option::Option<&'static ::core::primitive::str> =
            ::core::option::Option::Some($crate::__private::plain(::core::stringify!($name)));
    };
}

/// `Handlers::http`, for a block with endpoints or `#[routes]`.
#[cfg(feature = "http")]
#[doc(hidden)]
#[macro_export]
macro_rules! __http {
    ($owner:ty; $($(#[$cfg:meta])? $kind:ident $one:tt)*) => {
        fn http() -> ::core::option::Option<
            ::std::boxed::Box<dyn ::core::any::Any + ::core::marker::Send + ::core::marker::Sync>,
        > {
            let mut http = $crate::__private::HttpInterface::new::<$owner>();
            $($(#[$cfg])? { http = $crate::__http_one! { http $owner; $kind $one }; })*
            ::core::option::Option::Some(::std::boxed::Box::new(http))
        }
    };
}

/// The compile error of endpoints without the feature `http`.
#[cfg(not(feature = "http"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __http {
    ($($any:tt)*) => {
        ::core::compile_error!(
            "HTTP endpoints need the feature `http` of serve-core: \
             `serve-core = { version = \"0.1\", features = [\"http\"] }`"
        );
    };
}

/// An `HttpInterface` with one endpoint, or with the `#[routes]`, more.
#[cfg(feature = "http")]
#[doc(hidden)]
#[macro_export]
macro_rules! __http_one {
    ($http:ident $owner:ty; routes ($make:expr)) => {
        $http.routes::<$owner>($make)
    };
    (
        $http:ident $owner:ty;
        websocket { $marker:ident $path:literal ($($place:ident $ty:ty),*) $in:ty, $out:ty }
    ) => {{
        #[allow(unused_imports, reason = "one of the two fits")]
        use $crate::__private::{SocketIfWire as _, SocketOtherwise as _};
        let checked = &$crate::__private::Checked::<$marker, $crate::__private::Talk>::NEW;
        checked.websocket($http, $crate::__private::SocketSpec {
            path: $path,
            places: &[$($crate::__private::ParamPlace::$place),*],
            params: |generator| {
                #[allow(unused_imports, reason = "one of the two fits")]
                use $crate::__private::{SchemaIfEndpoint as _, SchemaOtherwise as _};
                let _ = &generator;
                <::std::vec::Vec<_> as ::core::convert::From<[_; _]>>::from(
                    [$((&$crate::__private::SchemaOf::<$ty>::NEW).schema(generator)),*],
                )
            },
            receives: |generator| {
                #[allow(unused_imports, reason = "one of the two fits")]
                use $crate::__private::{SchemaIfEndpoint as _, SchemaOtherwise as _};
                (&$crate::__private::SchemaOf::<$in>::NEW).schema(generator)
            },
            sends: |generator| {
                #[allow(unused_imports, reason = "one of the two fits")]
                use $crate::__private::{SchemaIfEndpoint as _, SchemaOtherwise as _};
                (&$crate::__private::SchemaOf::<$out>::NEW).schema(generator)
            },
        })
    }};
    (
        $http:ident $owner:ty;
        endpoint {
            $marker:ident $verb:literal $path:literal ($($place:ident $(= $name:literal)? $ty:ty),*)
            -> $shape:ident($ok:ty $(, $err:ty)?)
            $(body $body:ident)? $(success $success:literal)? $(max_body $max_body:literal)?
        }
    ) => {{
        #[allow(unused_imports, reason = "one of the two fits")]
        use $crate::__private::{EndpointIfWire as _, EndpointOtherwise as _};
        let checked = &$crate::__private::Checked::<$marker, $crate::__private::$shape>::NEW;
        checked.endpoint($http, $crate::__private::EndpointSpec {
            verb: $verb,
            path: $path,
            places: &[$($crate::__private::ParamPlace::$place $(($name))?),*],
            body: $crate::__body!($($body)?),
            success: $crate::__success!($($success)?),
            result: {
                #[allow(unused_imports, reason = "one of them fits")]
                use $crate::__private::{
                    ResultIsEvent as _, ResultIsReply as _, ResultIsValue as _,
                    ResultOtherwise as _,
                };
                (&&&$crate::__private::ResultOf::<$ok>::NEW).result()
            },
            max_body: $crate::__private::first(&[$($max_body)?]),
            status: $crate::__status!(status_of $($err)?),
            statuses: $crate::__status!(statuses $($err)?),
            params: |generator| {
                #[allow(unused_imports, reason = "one of the two fits")]
                use $crate::__private::{SchemaIfEndpoint as _, SchemaOtherwise as _};
                let _ = &generator;
                <::std::vec::Vec<_> as ::core::convert::From<_>>::from(
                    [$((&$crate::__private::SchemaOf::<$ty>::NEW).schema(generator)),*],
                )
            },
            returns: |generator| {
                #[allow(unused_imports, reason = "one of the two fits")]
                use $crate::__private::{SchemaIfEndpoint as _, SchemaOtherwise as _};
                (&$crate::__private::SchemaOf::<$ok>::NEW).schema(generator)
            },
        })
    }};
}

/// The type that stands for a method with a WebSocket, which is no method of the handle, with the
/// method's description and the code that runs it.
#[cfg(feature = "http")]
#[doc(hidden)]
#[macro_export]
macro_rules! __websocket {
    (
        $(#[$cfg:meta])? $owner:ty; $marker:ident $name:ident
        ($($arg:ident: $ty:ty = $text:literal),*) $socket:ident: $in:ty, $out:ty
        = $doc:literal $path:literal |$instance:ident| -> $future:ty $body:block
    ) => {
        $(#[$cfg])?
        const _: () = {
            $(
                $crate::__private::assert_wire::<$crate::__private::Anywhere, $ty>();
                $crate::__private::assert_endpoint::<$ty>();
            )*
            $crate::__private::assert_received::<$in>();
            $crate::__private::assert_endpoint::<$in>();
            $crate::__private::assert_sent::<$out>();
            $crate::__private::assert_endpoint::<$out>();
        };

        $(#[$cfg])?
        #[allow(non_camel_case_types, reason = "named after the method")]
        enum $marker {}

        $(#[$cfg])?
        #[automatically_derived]
        #[allow(
            refining_impl_trait, deprecated, clippy::all, clippy::pedantic,
            reason = "generated for any method"
        )]
        impl $crate::__private::SocketMethod for $marker {
            type Deployment = $owner;
            type Args = ($($ty,)*);
            type In = $in;
            type Out = $out;
            const INFO: $crate::__private::MethodInfo = $crate::__private::MethodInfo {
                name: $crate::__private::plain(::core::stringify!($name)),
                doc: $doc,
                params: &[$($crate::__private::ParamInfo {
                    name: $crate::__private::plain(::core::stringify!($arg)),
                    type_name: $text,
                }),*],
                param_names: &[$($crate::__private::plain(::core::stringify!($arg))),*],
                returns: "",
                endpoint: ::core::option::Option::Some(("GET", $path)),
                streaming: false,
            };

            fn run(
                $instance: ::std::sync::Arc<$owner>,
                ($($arg,)*): Self::Args,
                $socket: $crate::__private::WebSocket<Self::In, Self::Out>,
            ) -> $future $body
        }
    };
}

/// Without the feature `http`, `__http!` is the compile error.
#[cfg(not(feature = "http"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __websocket {
    ($($any:tt)*) => {};
}

/// The function from the error of an endpoint to its status, or the statuses that it may have.
#[doc(hidden)]
#[macro_export]
macro_rules! __status {
    (status_of) => {
        |_| ::core::option::Option::None
    };
    (statuses) => {
        &[]
    };
    ($what:ident $err:ty) => {{
        #[allow(unused_imports, reason = "one of the two fits")]
        use $crate::__private::{StatusByTrait as _, StatusUnknown as _};
        (&$crate::__private::StatusOf::<$err>::NEW).$what()
    }};
}

/// The format of the body of an endpoint.
#[doc(hidden)]
#[macro_export]
macro_rules! __body {
    () => {
        $crate::__private::BodyFormat::Json
    };
    ($body:ident) => {
        $crate::__private::BodyFormat::$body
    };
}

/// The status of the result of an endpoint.
#[doc(hidden)]
#[macro_export]
macro_rules! __success {
    () => {
        200
    };
    ($status:literal) => {
        $status
    };
}
