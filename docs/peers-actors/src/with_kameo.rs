//! An actor in kameo that calls another.

use kameo::Actor;
use kameo::actor::{ActorRef, Spawn};
use kameo::message::{Context, Message};

use crate::{BoxFuture, From, Side};

#[derive(Actor)]
struct Adder {
    by: u64,
}

struct Add(u64);

impl Message<Add> for Adder {
    type Reply = u64;

    async fn handle(&mut self, Add(to): Add, _: &mut Context<Self, u64>) -> u64 {
        to + self.by
    }
}

#[derive(Actor)]
struct Caller {
    adder: ActorRef<Adder>,
}

struct Call {
    repeats: usize,
}

impl Message<Call> for Caller {
    type Reply = ();

    async fn handle(&mut self, Call { repeats }: Call, _: &mut Context<Self, ()>) {
        calls(&self.adder, repeats).await;
    }
}

async fn calls(adder: &ActorRef<Adder>, repeats: usize) {
    for number in 0..repeats as u64 {
        assert_eq!(adder.ask(Add(number)).await.expect("nothing fails it"), number + 1);
    }
}

pub(crate) struct Program {
    adder: ActorRef<Adder>,
    caller: ActorRef<Caller>,
}

impl Program {
    pub(crate) fn start() -> Self {
        let adder = Adder::spawn(Adder { by: 1 });
        let caller = Caller::spawn(Caller { adder: adder.clone() });
        Self { adder, caller }
    }

    pub(crate) fn side(&self, from: From) -> Side {
        let (adder, caller) = (self.adder.clone(), self.caller.clone());
        Box::new(move |repeats| -> BoxFuture {
            let (adder, caller) = (adder.clone(), caller.clone());
            match from {
                From::Handler => Box::pin(async move {
                    caller.ask(Call { repeats }).await.expect("nothing fails it");
                }),
                From::Task => Box::pin(async move { calls(&adder, repeats).await }),
            }
        })
    }
}
