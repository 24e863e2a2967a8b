//! What is seen while an application starts and takes its time, as one that loads models
//! does.

use std::convert::Infallible;
use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

use crate::output;

/// How long one looks at a silent terminal before one wonders.
const SILENCE: Duration = Duration::from_secs(5);

/// Says every few seconds that there is something to wait for, until it is dropped.
pub(super) async fn narrate() -> Infallible {
    tell(|waiting| output::status("Waiting", waiting)).await
}

async fn tell(mut say: impl FnMut(&dyn Display)) -> Infallible {
    let began = Instant::now();
    loop {
        tokio::time::sleep(SILENCE).await;
        let seconds = began.elapsed().as_secs();
        say(&format_args!("for replicas whose constructors run, {seconds}s so far"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_long_start_is_told_every_few_seconds_and_a_short_one_is_not() {
        let mut said = Vec::new();
        let long = SILENCE * 2 + Duration::from_secs(1);
        let told = tell(|waiting| said.push(waiting.to_string()));
        tokio::time::timeout(long, told).await.expect_err("it goes on until it is dropped");
        assert_eq!(
            said,
            [
                "for replicas whose constructors run, 5s so far",
                "for replicas whose constructors run, 10s so far"
            ]
        );
    }
}
