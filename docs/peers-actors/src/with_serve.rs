//! A deployment in Serve that calls another.
#![expect(
    unreachable_pub,
    reason = "a handle has the public methods, and a program no public face"
)]

use serve_core::prelude::*;

use crate::{BoxFuture, From, Method, Side};

macro_rules! calls {
    ($adder:expr, $repeats:expr) => {
        for number in 0..$repeats as u64 {
            assert_eq!($adder.add(number).await.expect("nothing fails it"), number + 1);
        }
    };
}

#[deployment]
struct Shared {
    by: u64,
}

#[handle]
impl Shared {
    pub fn new(by: u64) -> Self {
        Self { by }
    }

    pub async fn add(&self, to: u64) -> u64 {
        to + self.by
    }
}

#[deployment]
struct Alone {
    by: u64,
}

#[handle]
impl Alone {
    pub fn new(by: u64) -> Self {
        Self { by }
    }

    pub async fn add(&mut self, to: u64) -> u64 {
        to + self.by
    }
}

#[deployment]
struct Caller {
    shared: SharedHandle,
    alone: AloneHandle,
}

#[handle]
impl Caller {
    pub fn new(shared: SharedHandle, alone: AloneHandle) -> Self {
        Self { shared, alone }
    }

    pub async fn call_shared(&self, repeats: usize) {
        calls!(self.shared, repeats);
    }

    pub async fn call_alone(&self, repeats: usize) {
        calls!(self.alone, repeats);
    }
}

pub(crate) struct Program {
    caller: CallerHandle,
    shared: SharedHandle,
    alone: AloneHandle,
    _runtime: Runtime,
}

impl Program {
    pub(crate) async fn start() -> Self {
        let runtime = Runtime::builder().start().await.expect("tokio is here");
        let caller = Caller::bind(Shared::bind(1), Alone::bind(1));
        let caller = runtime.run(Application::new(caller).name("caller"));
        let shared = runtime.run(Application::new(Shared::bind(1)).name("shared"));
        let alone = runtime.run(Application::new(Alone::bind(1)).name("alone"));
        Self {
            caller: caller.await.expect("nothing keeps it from running"),
            shared: shared.await.expect("nothing keeps it from running"),
            alone: alone.await.expect("nothing keeps it from running"),
            _runtime: runtime,
        }
    }

    pub(crate) fn side(&self, from: From, method: Method) -> Side {
        let (caller, shared, alone) =
            (self.caller.clone(), self.shared.clone(), self.alone.clone());
        Box::new(move |repeats| -> BoxFuture {
            let (caller, shared, alone) = (caller.clone(), shared.clone(), alone.clone());
            match (from, method) {
                (From::Handler, Method::Shared) => Box::pin(async move {
                    caller.call_shared(repeats).await.expect("nothing fails it");
                }),
                (From::Handler, Method::Alone) => Box::pin(async move {
                    caller.call_alone(repeats).await.expect("nothing fails it");
                }),
                (From::Task, Method::Shared) => Box::pin(async move { calls!(shared, repeats) }),
                (From::Task, Method::Alone) => Box::pin(async move { calls!(alone, repeats) }),
            }
        })
    }
}
