//! Two deployments in Serve.
#![expect(
    unreachable_pub,
    reason = "a handle has the public methods, and a program no public face"
)]

use serve_core::prelude::*;

use crate::{From, Program, Side};

#[deployment]
struct Adder {
    by: u64,
}

#[handle]
impl Adder {
    pub fn new(by: u64) -> Self {
        Self { by }
    }

    pub async fn add(&self, to: u64) -> u64 {
        to + self.by
    }
}

#[deployment]
struct Caller {
    adder: AdderHandle,
}

#[handle]
impl Caller {
    pub fn new(adder: AdderHandle) -> Self {
        Self { adder }
    }

    pub async fn call(&self, repeats: usize) {
        calls(&self.adder, repeats).await;
    }
}

async fn calls(adder: &AdderHandle, repeats: usize) {
    for number in 0..repeats as u64 {
        assert_eq!(adder.add(number).await.expect("nothing fails it"), number + 1);
    }
}

pub(crate) struct Serve {
    adder: AdderHandle,
    caller: CallerHandle,
    _runtime: Runtime,
}

pub(crate) async fn start() -> Serve {
    let runtime = Runtime::builder().start().await.expect("tokio is here");
    // Two adders, so that neither row has what the other taught its adder.
    let caller = runtime.run(Application::new(Caller::bind(Adder::bind(1))).name("inside"));
    let caller = caller.await.expect("nothing keeps it from running");
    let adder = runtime.run(Application::new(Adder::bind(1)).name("outside"));
    let adder = adder.await.expect("nothing keeps it from running");
    Serve { adder, caller, _runtime: runtime }
}

impl Program for Serve {
    fn side(&self, from: From) -> Side {
        match from {
            From::Handler => {
                let caller = self.caller.clone();
                Box::new(move |repeats| {
                    let caller = caller.clone();
                    Box::pin(async move { caller.call(repeats).await.expect("nothing fails it") })
                })
            }
            From::Task => {
                let adder = self.adder.clone();
                Box::new(move |repeats| {
                    let adder = adder.clone();
                    Box::pin(async move { calls(&adder, repeats).await })
                })
            }
        }
    }
}
