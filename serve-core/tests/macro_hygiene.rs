//! The macros in a crate that has nothing in scope: no prelude, `serve_core` under another
//! name, and the user's own types called like generated ones.
#![cfg(feature = "http")]
#![no_implicit_prelude]
#![allow(unreachable_pub, reason = "a handle has the public methods, and a test no public face")]

mod inside {
    pub(crate) mod renamed {
        pub use ::serve_core::*;
    }
}

/// Names that generated code might use for its own.
mod names {
    #[derive(
        ::std::fmt::Debug,
        ::std::clone::Clone,
        ::std::cmp::PartialEq,
        ::serde::Serialize,
        ::serde::Deserialize,
    )]
    pub struct F(pub u8);
    #[derive(
        ::std::fmt::Debug,
        ::std::clone::Clone,
        ::std::cmp::PartialEq,
        ::serde::Serialize,
        ::serde::Deserialize,
    )]
    pub struct A(pub u8);
    #[derive(
        ::std::fmt::Debug,
        ::std::clone::Clone,
        ::std::cmp::PartialEq,
        ::serde::Serialize,
        ::serde::Deserialize,
    )]
    pub struct M0(pub u8);
    #[derive(::std::fmt::Debug, ::serde::Serialize, ::serde::Deserialize)]
    pub struct Failure;

    impl ::std::fmt::Display for Failure {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            f.write_str("failure")
        }
    }
}

use inside::renamed::{application, deployment, futures, handle, task};
use names::{A, F, Failure, M0};

#[deployment(crate = crate::inside::renamed, num_replicas = 1, graceful_shutdown_timeout = "30s")]
struct Named {
    start: M0,
}

#[handle(crate = crate::inside::renamed)]
impl Named {
    async fn new(start: M0, needs: A, wiring: F, made: u8) -> ::std::result::Result<Self, Failure> {
        if needs.0 == wiring.0 && made == 0 {
            return ::std::result::Result::Err(Failure);
        }
        ::std::result::Result::Ok(Self { start })
    }

    pub async fn swap(&self, a: A) -> F {
        F(a.0 + self.start.0)
    }

    pub async fn may_fail(&self, f: F) -> ::std::result::Result<A, Failure> {
        ::std::result::Result::Ok(A(f.0))
    }

    #[websocket("/talk/{this}")]
    async fn talk(
        &self,
        this: ::std::string::String,
        socket: crate::inside::renamed::http::WebSocket<::std::string::String>,
    ) -> ::std::result::Result<(), crate::inside::renamed::http::WebSocketError> {
        socket.send(this).await
    }

    #[blocking]
    pub fn crunch(&self, this: u8, cell: u8) -> u8 {
        this + cell
    }

    pub fn count(&self, to: u8) -> impl futures::Stream<Item = u8> + use<> {
        futures::stream::iter(0..to)
    }

    pub async fn count_or_fail(
        &self,
        to: u8,
    ) -> ::std::result::Result<
        impl futures::Stream<Item = ::std::result::Result<u8, Failure>> + use<>,
        Failure,
    > {
        if to == 0 {
            return ::std::result::Result::Err(Failure);
        }
        let made = ::std::iter::Iterator::map(0..to, ::std::result::Result::Ok);
        ::std::result::Result::Ok(futures::stream::iter(made))
    }

    #[expect(clippy::too_many_arguments, reason = "each is a name")]
    /// Every name that generated code has for a local.
    pub async fn locals(
        &self,
        handle: u8,
        args: u8,
        self_: u8,
        http: u8,
        answer: u8,
        mock: u8,
        checked: u8,
        methods: u8,
        argument0: u8,
    ) -> u8 {
        handle + args + self_ + http + answer + mock + checked + methods + argument0
    }

    #[post("/{type}")]
    pub async fn r#match(&self, r#type: u8, generator: u8, status: u8) -> u8 {
        r#type + generator + status
    }

    #[shutdown]
    async fn end(&self) {}
}

#[task(crate = crate::inside::renamed)]
async fn double(input: u8, args: u8) -> u8 {
    input * 2 + args
}

#[task(crate = crate::inside::renamed)]
fn refuse(input: u8) -> ::std::result::Result<A, Failure> {
    if input == 0 {
        ::std::result::Result::Err(Failure)
    } else {
        ::std::result::Result::Ok(A(input))
    }
}

/// As `tokio::test` does, which needs names in scope.
fn on_a_paused_clock(test: impl ::std::future::Future<Output = ()>) {
    let mut builder = ::tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().expect("a runtime starts").block_on(test);
}

#[application(crate = crate::inside::renamed)]
fn named() -> inside::renamed::Application<Named> {
    ::std::convert::Into::into(Named::bind(M0(1), A(1), F(2), 3))
}

#[::core::prelude::v1::test]
fn nothing_in_scope_is_needed() {
    on_a_paused_clock(async {
        let runtime = inside::renamed::MockRuntime::builder().start();
        let handle = runtime.run(named()).await.unwrap();
        ::std::assert_eq!(handle.swap(A(1)).await.unwrap(), F(2));
        ::std::assert_eq!(handle.may_fail(F(1)).await.unwrap(), A(1));
        ::std::assert_eq!(handle.crunch(1, 2).await.unwrap(), 3);
        ::std::assert_eq!(handle.r#match(1, 2, 3).await.unwrap(), 6);
        ::std::assert_eq!(handle.locals(1, 1, 1, 1, 1, 1, 1, 1, 1).await.unwrap(), 9);
        let items: ::std::vec::Vec<_> =
            futures::TryStreamExt::try_collect(handle.count(3)).await.unwrap();
        ::std::assert_eq!(items, [0, 1, 2]);
        let items: ::std::vec::Vec<_> =
            futures::TryStreamExt::try_collect(handle.count_or_fail(2)).await.unwrap();
        ::std::assert_eq!(items, [0, 1]);
        ::std::assert_eq!(double::remote(handle.crunch(1, 2), 1).await.unwrap(), 7);
        ::std::assert!(refuse::remote(0).await.is_err());
    });
}

#[::core::prelude::v1::test]
fn mocks_need_nothing_in_scope_either() {
    on_a_paused_clock(async {
        let mock = NamedMock::new()
            .swap(|a: A| async move { F(a.0) })
            .may_fail(|_| async { ::std::result::Result::Err(Failure) })
            .count(|to: u8| futures::stream::iter(0..to))
            .locals(|handle, _, _, _, _, _, _, _, _| async move { handle });
        let runtime = inside::renamed::MockRuntime::builder().mock(mock).start();
        let handle = runtime.run(named()).await.unwrap();
        ::std::assert_eq!(handle.swap(A(7)).await.unwrap(), F(7));
        ::std::assert!(handle.may_fail(F(1)).await.is_err());
        ::std::assert_eq!(handle.locals(5, 0, 0, 0, 0, 0, 0, 0, 0).await.unwrap(), 5);
        let items: ::std::vec::Vec<_> =
            futures::TryStreamExt::try_collect(handle.count(2)).await.unwrap();
        ::std::assert_eq!(items, [0, 1]);
    });
}
