//! The code of `#[handle]`. The attribute macro writes the data of a block (names, types, spans);
//! the macros here hold the code that is the same for every block.
//!
//! A method is one group of tokens, which [`__methods!`](crate::__methods) passes to a macro for
//! each part of the code:
//!
//! ```text
//! MARKER {
//!     INDEX #[ATTRIBUTE].. fn NAME(&self, PARAMETER: IMPL TYPE, ..) -> RESPONSE = call self;
//!     (PARAMETER: TYPE = "TYPE AS WRITTEN", ..) -> One(OK, ERR) = "RETURN TYPE AS WRITTEN"
//!     "DOC" [VERB PATH] [RETRIES AND LIMITS OF BATCHES]
//!     HOW |CELL| -> FUTURE { BODY }
//!     mock NAME<F, A>(ITEM, TURN) "DOC OF THE MOCK"
//! }
//! ```
//!
//! The first line is the head of the handle's method and how it starts the call, `call` or
//! `stream`. `MARKER` is the type that stands for the method. `HOW` is `direct`, or `(batched ..)`
//! with what the batcher needs; a method that returns a stream has `|CELL, ITEMS|`. `TURN` is the
//! function that turns what the method returns into the result of its call.
//!
//! The compiler reports a mistake at the span of the tokens that it finds wrong, and mentions the
//! macro if one of them is written here. Therefore the attribute macro passes whole what may be
//! wrong, with the span of the user's own code: the head of the handle's method, the future, the
//! call of the user's method.

/// The types that stand for the methods of a block, the methods of the handle, and those of the
/// mock.
#[doc(hidden)]
#[macro_export]
macro_rules! __methods {
    (
        $handle:ty, $mock:ty;
        $($(#[$cfg:meta])? $marker:ident $method:tt)*
    ) => {
        // Where the struct is no deployment, there is no handle either, and this type is unknown,
        // so that the compiler reports the missing handle alone.
        type __ServeOwner = <$handle as $crate::__private::HandleOf>::Deployment;

        $($(#[$cfg])? $crate::__method! { $marker $method })*

        #[allow(
            dead_code, deprecated, unreachable_pub, clippy::all, clippy::pedantic,
            reason = "the methods that are called are the user's choice"
        )]
        impl $handle {
            $($(#[$cfg])? $crate::__stub! { $marker $method })*
        }

        #[allow(
            dead_code, deprecated, unreachable_pub, clippy::all, clippy::pedantic,
            reason = "mocks are for tests"
        )]
        impl $mock {
            $($(#[$cfg])? $crate::__mock! { $marker $method })*
        }
    };
}

/// The type that stands for a method, with the method's description and the code that runs it.
#[doc(hidden)]
#[macro_export]
macro_rules! __method {
    (
        $marker:ident {
            $index:literal $(#[$attribute:meta])*
            fn $stub:ident $params:tt -> $response:ty = $start:ident $self:ident;
            ($($arg:ident: $ty:ty = $text:literal),*)
            -> $shape:ident($ok:ty $(, $err:ty)?) = $returns:literal
            $doc:literal [$($verb:literal $path:literal)?] $extras:tt
            $how:tt |$cell:ident $(, $items:ident)?| -> $future:ty $body:block
            $($rest:tt)*
        }
    ) => {
        $crate::__checks! { [$($verb)?] $($ty,)* $ok $(; $err)? }

        #[allow(non_camel_case_types, reason = "named after the method")]
        enum $marker {}

        #[automatically_derived]
        impl $crate::__private::Method for $marker {
            type Deployment = __ServeOwner;
            type Args = ($($ty,)*);
            type Ok = $ok;
            $crate::__error! { $($err)? }
            const INDEX: ::core::primitive::usize = $index;
            const INFO: $crate::__private::MethodInfo = $crate::__private::MethodInfo {
                name: $crate::__private::plain(::core::stringify!($stub)),
                doc: $doc,
                params: &[$($crate::__private::ParamInfo {
                    name: $crate::__private::plain(::core::stringify!($arg)),
                    type_name: $text,
                }),*],
                param_names: &[$($crate::__private::plain(::core::stringify!($arg))),*],
                returns: $returns,
                endpoint: $crate::__private::first(&[$(($verb, $path))?]),
                streaming: $crate::__streams!($shape),
            };
            $crate::__extras! { $extras $($arg)* }

            fn erased() -> &'static dyn $crate::__private::AnyMethod {
                #[allow(unused_imports, reason = "one of the two fits")]
                use $crate::__private::{ErasedIfWire as _, ErasedOtherwise as _};
                (&$crate::__private::Checked::<Self, $crate::__private::$shape>::NEW).erased()
            }
        }

        $crate::__run! { $how $marker ($($arg)*) |$cell $(, $items)?| -> $future $body }
    };
}

/// The bounds of the types that cross the handle. An endpoint's parameters and result are
/// serialized even in a `local` deployment.
#[doc(hidden)]
#[macro_export]
macro_rules! __checks {
    ([] $($ty:ty),+ $(; $err:ty)?) => {
        $(const _: () = $crate::__private::assert_wire::<
            <__ServeOwner as $crate::__private::Deployment>::Locality, $ty,
        >();)+
        $(const _: () = $crate::__private::assert_wire::<
            <__ServeOwner as $crate::__private::Deployment>::Locality, $err,
        >();)?
    };
    ([$verb:literal] $($ty:ty),+ $(; $err:ty)?) => {
        $(
            const _: () = $crate::__private::assert_wire::<$crate::__private::Anywhere, $ty>();
            $crate::__check_endpoint! { $ty }
        )+
        $(const _: () = $crate::__private::assert_wire::<
            <__ServeOwner as $crate::__private::Deployment>::Locality, $err,
        >();)?
    };
}

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

/// `Method::Err` and `Method::ErrCodec`.
#[doc(hidden)]
#[macro_export]
macro_rules! __error {
    () => {
        type Err = ::core::convert::Infallible;
        type ErrCodec = $crate::__private::NoError;
    };
    ($err:ty) => {
        type Err = $err;
        type ErrCodec =
            $crate::__private::WireError<<__ServeOwner as $crate::__private::Deployment>::Locality>;
    };
}

/// True for the shape of a method that returns a stream.
#[doc(hidden)]
#[macro_export]
macro_rules! __streams {
    (One) => {
        false
    };
    (Many) => {
        true
    };
}

/// The method of the handle for a method of the deployment.
#[doc(hidden)]
#[macro_export]
macro_rules! __stub {
    (
        $marker:ident {
            $index:literal $(#[$attribute:meta])*
            fn $stub:ident $params:tt -> $response:ty = $start:ident $self:ident;
            ($($arg:ident: $ty:ty = $text:literal),*)
            $($rest:tt)*
        }
    ) => {
        $(#[$attribute])*
        pub fn $stub $params -> $response {
            $crate::__private::$start::<$marker>(
                $crate::__private::DeploymentHandle::handle($self),
                ($($crate::__private::IntoArg::<$ty>::into_arg($arg),)*),
            )
        }
    };
}

/// The method of the mock for a method of the deployment.
#[doc(hidden)]
#[macro_export]
macro_rules! __mock {
    (
        $marker:ident {
            $index:literal $(#[$attribute:meta])*
            fn $stub:ident $params:tt -> $response:ty = $start:ident $self:ident;
            ($($arg:ident: $ty:ty = $text:literal),*)
            -> One $result:tt = $returns:literal
            $doc:literal $endpoint:tt $extras:tt
            $how:tt |$($cell:ident),*| -> $future:ty $body:block
            mock $mock:ident<$answer:ident, $answered:ident>($item:ty, $turn:ident) $mock_doc:literal
        }
    ) => {
        #[doc = $mock_doc]
        #[must_use]
        pub fn $mock<$answer, $answered>(self, answer: $answer) -> Self
        where
            $answer: ::core::ops::Fn($($ty),*) -> $answered
                + ::core::marker::Send + ::core::marker::Sync + 'static,
            $answered: ::core::future::Future<Output = $item> + ::core::marker::Send + 'static,
        {
            $crate::__private::mocked(self, |mock| {
                mock.on_unary::<$marker, _, _>(move |($($arg,)*)| {
                    $crate::__private::futures::FutureExt::map(
                        answer($($arg),*),
                        $crate::__private::$turn,
                    )
                })
            })
        }
    };
    (
        $marker:ident {
            $index:literal $(#[$attribute:meta])*
            fn $stub:ident $params:tt -> $response:ty = $start:ident $self:ident;
            ($($arg:ident: $ty:ty = $text:literal),*)
            -> Many $result:tt = $returns:literal
            $doc:literal $endpoint:tt $extras:tt
            $how:tt |$($cell:ident),*| -> $future:ty $body:block
            mock $mock:ident<$answer:ident, $answered:ident>($item:ty, $turn:ident) $mock_doc:literal
        }
    ) => {
        #[doc = $mock_doc]
        #[must_use]
        pub fn $mock<$answer, $answered>(self, answer: $answer) -> Self
        where
            $answer: ::core::ops::Fn($($ty),*) -> $answered
                + ::core::marker::Send + ::core::marker::Sync + 'static,
            $answered: $crate::__private::futures::Stream<Item = $item>
                + ::core::marker::Send + 'static,
        {
            $crate::__private::mocked(self, |mock| {
                mock.on_stream::<$marker, _, _>(move |($($arg,)*)| {
                    $crate::__private::futures::StreamExt::map(
                        answer($($arg),*),
                        $crate::__private::$turn,
                    )
                })
            })
        }
    };
}

/// The code that runs a method on the instance: `direct`, or by the replica's batcher for a method
/// marked `#[batch]`.
#[doc(hidden)]
#[macro_export]
macro_rules! __run {
    (direct $marker:ident ($($arg:ident)*) |$cell:ident| -> $future:ty $body:block) => {
        #[automatically_derived]
        #[allow(
            refining_impl_trait, deprecated, clippy::all, clippy::pedantic,
            reason = "generated for any method"
        )]
        impl $crate::__private::Unary for $marker {
            fn run(
                $cell: __ServeCell,
                ($($arg,)*): <Self as $crate::__private::Method>::Args,
            ) -> $future $body
        }
    };
    (direct $marker:ident ($($arg:ident)*) |$cell:ident, $items:ident| -> $future:ty $body:block) => {
        #[automatically_derived]
        #[allow(
            refining_impl_trait, deprecated, clippy::all, clippy::pedantic,
            reason = "generated for any method"
        )]
        impl $crate::__private::Streaming for $marker {
            fn run(
                $cell: __ServeCell,
                ($($arg,)*): <Self as $crate::__private::Method>::Args,
                $items: $crate::__private::StreamSink<
                    <Self as $crate::__private::Method>::Ok,
                    <Self as $crate::__private::Method>::Err,
                >,
            ) -> $future $body
        }
    };
    (
        (batched $limits:tt $interruptible:literal { $($weight:tt)* })
        $marker:ident ($($arg:ident)*) |$cell:ident, $rows:ident| -> $future:ty $body:block
    ) => {
        $crate::__run! { @batched $marker $limits $interruptible { $($weight)* } }

        #[automatically_derived]
        #[allow(
            refining_impl_trait, deprecated, clippy::all, clippy::pedantic,
            reason = "generated for any method"
        )]
        impl $crate::__private::BatchedUnary for $marker {
            fn run_batch(
                $cell: __ServeCell,
                $rows: ::std::vec::Vec<<Self as $crate::__private::Method>::Args>,
            ) -> $future $body
        }

        #[automatically_derived]
        #[allow(refining_impl_trait, reason = "generated for any method")]
        impl $crate::__private::Unary for $marker {
            fn run(
                cell: __ServeCell,
                args: <Self as $crate::__private::Method>::Args,
            ) -> impl ::core::future::Future<
                Output = $crate::__private::Reply<
                    <Self as $crate::__private::Method>::Ok,
                    <Self as $crate::__private::Method>::Err,
                    <Self as $crate::__private::Method>::Args,
                >,
            > + ::core::marker::Send {
                $crate::__private::batched::<Self>(cell, args)
            }
        }
    };
    (
        (batched_stream $limits:tt $interruptible:literal { $($weight:tt)* })
        $marker:ident ($($arg:ident)*) |$cell:ident, $rows:ident| -> $future:ty $body:block
    ) => {
        $crate::__run! { @batched $marker $limits $interruptible { $($weight)* } }

        #[automatically_derived]
        #[allow(
            refining_impl_trait, deprecated, clippy::all, clippy::pedantic,
            reason = "generated for any method"
        )]
        impl $crate::__private::BatchedStreaming for $marker {
            fn run_batch(
                $cell: __ServeCell,
                $rows: ::std::vec::Vec<<Self as $crate::__private::Method>::Args>,
            ) -> $future $body
        }

        #[automatically_derived]
        #[allow(refining_impl_trait, reason = "generated for any method")]
        impl $crate::__private::Streaming for $marker {
            fn run(
                cell: __ServeCell,
                args: <Self as $crate::__private::Method>::Args,
                items: $crate::__private::StreamSink<
                    <Self as $crate::__private::Method>::Ok,
                    <Self as $crate::__private::Method>::Err,
                >,
            ) -> impl ::core::future::Future<
                Output = $crate::__private::Reply<
                    (),
                    <Self as $crate::__private::Method>::Err,
                    <Self as $crate::__private::Method>::Args,
                >,
            > + ::core::marker::Send {
                $crate::__private::batched_stream::<Self>(cell, args, items)
            }
        }
    };
    (@batched $marker:ident $limits:tt $interruptible:literal { $($weight:tt)* }) => {
        #[automatically_derived]
        impl $crate::__private::Batched for $marker {
            const LIMITS: $crate::__private::BatchLimits = $crate::__limits! $limits;
            const INTERRUPTIBLE: ::core::primitive::bool = $interruptible;
            $($weight)*
        }
    };
}

/// The columns of a batch, from its rows.
#[doc(hidden)]
#[macro_export]
macro_rules! __columns {
    ($rows:ident $count:ident $($arg:ident($row:ident): $column:ty),*) => {
        let $count = $rows.len();
        $(let mut $arg: $column = ::std::vec::Vec::with_capacity($count);)*
        for ($($row,)*) in $rows {
            $($arg.push($row);)*
        }
    };
}

/// The limits of the batches of a method.
#[doc(hidden)]
#[macro_export]
macro_rules! __limits {
    ($size:literal, $secs:literal s $nanos:literal ns, $batches:literal) => {
        $crate::__private::BatchLimits {
            max_batch_size: $size,
            batch_wait_timeout: ::core::time::Duration::new($secs, $nanos),
            max_concurrent_batches: $batches,
        }
    };
}

/// The items of `Method` for `#[retry]` and `#[batch]`.
#[doc(hidden)]
#[macro_export]
macro_rules! __extras {
    ([$(retry $retries:literal ($($copy:expr),*))? $(batch $($limits:tt)?)?] $($arg:ident)*) => {
        $crate::__extras! { @retry [$($arg)*] $($retries ($($copy),*))? }
        $crate::__extras! { @batch $([$($limits)?])? }
    };
    (@retry $args:tt) => {};
    (@retry [$($arg:ident)*] $retries:literal ($($copy:expr),*)) => {
        const RETRIES: ::core::primitive::usize = $retries;

        fn copy_args(args: &Self::Args) -> ::core::option::Option<Self::Args> {
            let ($($arg,)*) = args;
            ::core::option::Option::Some(($($copy,)*))
        }
    };
    (@batch) => {};
    (@batch []) => {
        const BATCHED: ::core::primitive::bool = true;
    };
    (@batch [$limits:tt]) => {
        const BATCHED: ::core::primitive::bool = true;
        const BATCH: ::core::option::Option<$crate::__private::BatchLimits> =
            ::core::option::Option::Some($crate::__limits! $limits);
    };
}

/// The items of `Handlers`, the runtime's interface to the whole block.
#[doc(hidden)]
#[macro_export]
macro_rules! __handlers {
    ($($(#[$cfg:meta])? $marker:ident)*) => {
        fn methods() -> ::std::vec::Vec<&'static dyn $crate::__private::AnyMethod> {
            let methods: &[&'static dyn $crate::__private::AnyMethod] =
                &[$($(#[$cfg])? <$marker as $crate::__private::Method>::erased(),)*];
            methods.to_vec()
        }
    };
}

/// `Handlers::hook`, which runs the methods that the runtime itself calls.
#[doc(hidden)]
#[macro_export]
macro_rules! __hooks {
    ($(
        $(#[$cfg:meta])? $when:ident $([$config:ident])? ($($this:tt)+) ($call:expr)
        $returned:ident ($ended:expr);
    )*) => {
        #[allow(
            deprecated, unreachable_patterns, clippy::all, clippy::pedantic,
            reason = "generated for any method"
        )]
        fn hook(
            cell: __ServeCell,
            hook: $crate::__private::Hook<'_>,
        ) -> ::core::option::Option<
            $crate::__private::futures::future::BoxFuture<
                'static,
                ::core::result::Result<(), $crate::__private::Error>,
            >,
        > {
            match hook {
                $($(#[$cfg])? $crate::__private::Hook::$when $(($config))? => {
                    $(let $config = __serve_user_config($config);)?
                    ::core::option::Option::Some(::std::boxed::Box::pin(async move {
                        let $($this)+ = __ServeCell::get(cell).await;
                        let $returned = $call;
                        $ended
                    }))
                })*
                _ => ::core::option::Option::None,
            }
        }
    };
}

/// `__serve_user_config`, which reads the parameter of the `#[reconfigure]` method. Only this code
/// requires that the parameter's type can be deserialized.
#[doc(hidden)]
#[macro_export]
macro_rules! __user_config {
    ($ty:ty, $read:expr) => {
        fn __serve_user_config(
            config: &$crate::__private::serde_json::Value,
        ) -> ::core::result::Result<$ty, $crate::__private::Error> {
            $read(config)
        }
    };
}

/// `Handlers::check_user_config`, for a block with a `#[reconfigure]` method.
#[doc(hidden)]
#[macro_export]
macro_rules! __check_user_config {
    () => {
        fn check_user_config(
            config: &$crate::__private::serde_json::Value,
        ) -> ::core::option::Option<::core::result::Result<(), $crate::__private::Error>> {
            ::core::option::Option::Some(__serve_user_config(config).map(::core::mem::drop))
        }
    };
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

/// `bind`, for each constructor.
#[doc(hidden)]
#[macro_export]
macro_rules! __bind {
    ($owner:ty, $doc:literal; $($(#[$cfg:meta])? $bind:ident $constructor:tt)*) => {
        #[allow(
            dead_code, deprecated, unreachable_pub, clippy::all, clippy::pedantic,
            reason = "bound only where it is deployed"
        )]
        impl $owner {
            $($(#[$cfg])? $crate::__bind_one! { $owner, $doc, $bind $constructor })*
        }

        $($(#[$cfg])? $crate::__taken! { $constructor })*
    };
}

/// `bind` with the parameters of a constructor, or for a type with `Default`.
#[doc(hidden)]
#[macro_export]
macro_rules! __bind_one {
    ($owner:ty, $doc:literal, $bind:ident { $default:expr }) => {
        #[doc = $doc]
        #[must_use]
        pub fn $bind() -> $crate::__private::Bound<$owner> {
            $default()
        }
    };
    (
        $owner:ty, $doc:literal,
        $bind:ident(
            <$($marker:ident),*> $params:tt [$($arg:ident: $ty:ty),*] $checks:tt
            $how:tt ($new:expr)
        )
    ) => {
        #[doc = $doc]
        pub fn $bind<$($marker),*> $params -> $crate::__private::Bound<$owner> {
            $(let $arg = $crate::__private::IntoInit::<$ty, $marker>::into_init($arg);)*
            let content = {
                #[allow(unused_imports, reason = "which of them fits depends on the types")]
                use $crate::__private::{
                    ContentByIdentity as _, ContentByPointer as _, ContentBySerde as _,
                    ContentOtherwise as _,
                };
                <::std::vec::Vec<_> as ::core::convert::From<[_; _]>>::from(
                    [$((&&&&$crate::__private::ContentOf::new(&$arg)).content()),*],
                )
            };
            let needs = $crate::__private::needs(&[$($arg.needs()),*]);
            $crate::__private::bound::<$owner, _>(needs, content, move |wiring| {
                let _ = wiring;
                $(let $arg = $arg.make(wiring);)*
                async move { $crate::__made! { $how ($new) } }
            })
        }
    };
}

/// The check that a constructor takes other deployments by their handles.
#[doc(hidden)]
#[macro_export]
macro_rules! __taken {
    ({ $default:expr }) => {};
    ((<$($marker:ident),*> $params:tt $args:tt [$($check:expr),*] $how:tt $new:tt)) => {
        const _: fn() = || {
            #[allow(unused_imports, reason = "there may be no parameter")]
            use $crate::__private::TakenOtherwise as _;
            $($check;)*
        };
    };
}

/// The result of a constructor.
#[doc(hidden)]
#[macro_export]
macro_rules! __made {
    ([blocking $($how:tt)+] ($new:expr)) => {
        $crate::__private::blocking_constructor(move || $crate::__made! { [$($how)+] ($new) }).await
    };
    ([plain $made:ident ($instance:expr)] ($new:expr)) => {{
        let $made = $new;
        ::core::result::Result::Ok($instance)
    }};
    ([fallible $made:ident ($instance:expr) $error:ident ($raised:expr)] ($new:expr)) => {
        match $crate::__private::Fallible::into_result($new) {
            ::core::result::Result::Ok($made) => ::core::result::Result::Ok($instance),
            ::core::result::Result::Err($error) => {
                #[allow(unused_imports, reason = "one of the two fits")]
                use $crate::__private::{RaiseDisplay as _, RaiseInto as _};
                ::core::result::Result::Err($raised)
            }
        }
    };
}
