//! An actor in ractor that calls another.

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call};

use crate::{BoxFuture, From, Side};

struct Adder;

enum AdderMessage {
    Add(u64, RpcReplyPort<u64>),
}

impl Actor for Adder {
    type Msg = AdderMessage;
    type State = u64;
    type Arguments = u64;

    async fn pre_start(
        &self,
        _: ActorRef<AdderMessage>,
        by: u64,
    ) -> Result<u64, ActorProcessingErr> {
        Ok(by)
    }

    async fn handle(
        &self,
        _: ActorRef<AdderMessage>,
        AdderMessage::Add(to, reply): AdderMessage,
        by: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        Ok(reply.send(to + *by)?)
    }
}

struct Caller;

enum CallerMessage {
    Call(usize, RpcReplyPort<()>),
}

impl Actor for Caller {
    type Msg = CallerMessage;
    type State = ActorRef<AdderMessage>;
    type Arguments = ActorRef<AdderMessage>;

    async fn pre_start(
        &self,
        _: ActorRef<CallerMessage>,
        adder: ActorRef<AdderMessage>,
    ) -> Result<ActorRef<AdderMessage>, ActorProcessingErr> {
        Ok(adder)
    }

    async fn handle(
        &self,
        _: ActorRef<CallerMessage>,
        CallerMessage::Call(repeats, reply): CallerMessage,
        adder: &mut ActorRef<AdderMessage>,
    ) -> Result<(), ActorProcessingErr> {
        calls(adder, repeats).await;
        Ok(reply.send(())?)
    }
}

async fn calls(adder: &ActorRef<AdderMessage>, repeats: usize) {
    for number in 0..repeats as u64 {
        let sum = call!(adder, AdderMessage::Add, number);
        assert_eq!(sum.expect("nothing fails it"), number + 1);
    }
}

pub(crate) struct Program {
    adder: ActorRef<AdderMessage>,
    caller: ActorRef<CallerMessage>,
}

impl Program {
    pub(crate) async fn start() -> Self {
        let adder = Actor::spawn(None, Adder, 1).await;
        let (adder, _) = adder.expect("its start does not fail");
        let caller = Actor::spawn(None, Caller, adder.clone()).await;
        let (caller, _) = caller.expect("its start does not fail");
        Self { adder, caller }
    }

    pub(crate) fn side(&self, from: From) -> Side {
        let (adder, caller) = (self.adder.clone(), self.caller.clone());
        Box::new(move |repeats| -> BoxFuture {
            let (adder, caller) = (adder.clone(), caller.clone());
            match from {
                From::Handler => Box::pin(async move {
                    call!(caller, CallerMessage::Call, repeats).expect("nothing fails it");
                }),
                From::Task => Box::pin(async move { calls(&adder, repeats).await }),
            }
        })
    }
}
