//! Two actors in ractor.

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call};

use crate::{From, Program, Side};

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

pub(crate) struct Ractor {
    adder: ActorRef<AdderMessage>,
    caller: ActorRef<CallerMessage>,
}

pub(crate) async fn start() -> Ractor {
    let (adder, _) = Actor::spawn(None, Adder, 1).await.expect("its start does not fail");
    let (caller, _) =
        Actor::spawn(None, Caller, adder.clone()).await.expect("its start does not fail");
    Ractor { adder, caller }
}

impl Program for Ractor {
    fn side(&self, from: From) -> Side {
        match from {
            From::Handler => {
                let caller = self.caller.clone();
                Box::new(move |repeats| {
                    let caller = caller.clone();
                    Box::pin(async move {
                        call!(caller, CallerMessage::Call, repeats).expect("nothing fails it");
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
