//! A call that makes the next one and detaches it, as a clockwork does. As it is, this ends
//! the process: each call holds the deadline of the one before, and all are dropped at once.
#![allow(unreachable_pub, reason = "a handle has the public methods, and a test no public face")]

use std::sync::Arc;
use std::time::Duration;

use serve_core::prelude::*;
use tokio::sync::Notify;

#[deployment(request_timeout = "1h")]
struct Clock(Arc<Notify>);

#[handle]
impl Clock {
    fn new(done: Arc<Notify>) -> Self {
        Self(done)
    }

    pub async fn tick(&self, left: u64, me: ClockHandle) {
        match left.checked_sub(1) {
            Some(left) => me.tick(left, me.clone()).detach(),
            None => self.0.notify_one(),
        }
    }
}

#[tokio::test]
async fn a_call_that_makes_the_next_one_may_go_on_for_ever() -> Result<()> {
    let done = Arc::<Notify>::default();
    let runtime = Runtime::builder().start().await?;
    let clock = runtime.run(Clock::bind(done.clone())).await?;
    clock.tick(300_000, clock.clone()).detach();
    done.notified().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok(())
}
