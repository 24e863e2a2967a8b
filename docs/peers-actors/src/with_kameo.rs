//! Two actors in kameo.

use kameo::Actor;
use kameo::actor::{ActorRef, Spawn};
use kameo::message::{Context, Message};

use crate::{From, Program, Side};

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

pub(crate) struct Kameo {
    adder: ActorRef<Adder>,
    caller: ActorRef<Caller>,
}

pub(crate) fn start() -> Kameo {
    let adder = Adder::spawn(Adder { by: 1 });
    let caller = Caller::spawn(Caller { adder: adder.clone() });
    Kameo { adder, caller }
}

impl Program for Kameo {
    fn side(&self, from: From) -> Side {
        match from {
            From::Handler => {
                let caller = self.caller.clone();
                Box::new(move |repeats| {
                    let caller = caller.clone();
                    Box::pin(async move {
                        caller.ask(Call { repeats }).await.expect("nothing fails it");
                    })
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
