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
