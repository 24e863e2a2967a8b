//! By value, a callee waits for its argument; by reference, it starts at once and awaits
//! the argument when it wants to.

use std::time::Duration;

use serve_core::prelude::*;
use tokio::time::{Instant, sleep};

/// Takes its time.
#[deployment]
#[derive(Debug, Default)]
pub struct Preprocessor;

#[handle]
impl Preprocessor {
    /// The text in capitals, after a second.
    pub async fn prepare(&self, text: String) -> String {
        sleep(Duration::from_secs(1)).await;
        text.to_uppercase()
    }
}

/// Uses what was prepared.
#[deployment]
#[derive(Debug, Default)]
pub struct Downstream;

#[handle]
impl Downstream {
    /// Starts once the text is there.
    pub async fn by_value(&self, text: String, asked: Duration) -> (String, Duration) {
        (text, since_start() - asked)
    }

    /// Starts at once.
    pub async fn by_reference(
        &self,
        text: ObjectRef<String>,
        asked: Duration,
    ) -> Result<(String, Duration)> {
        let started = since_start() - asked;
        Ok((text.await?, started))
    }
}

/// Time since the program began: what two deployments of one process can compare.
fn since_start() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// The ingress. Both methods give the text and how long `Downstream` took to start.
#[deployment]
#[derive(Debug)]
pub struct Pipeline {
    preprocessor: PreprocessorHandle,
    downstream: DownstreamHandle,
}

#[handle]
impl Pipeline {
    /// Prepares, then passes on.
    pub fn new(preprocessor: PreprocessorHandle, downstream: DownstreamHandle) -> Self {
        Self { preprocessor, downstream }
    }

    /// The response is resolved before `Downstream` starts.
    pub async fn by_value(&self, text: String) -> Result<(String, Duration)> {
        let prepared = self.preprocessor.prepare(text);
        Ok(self.downstream.by_value(prepared, since_start()).await?)
    }

    /// The reference travels, and `Downstream` starts meanwhile.
    pub async fn by_reference(&self, text: String) -> Result<(String, Duration)> {
        let prepared = self.preprocessor.prepare(text).object_ref();
        Ok(self.downstream.by_reference(prepared, since_start()).await?)
    }
}

/// A preprocessor and what comes after it.
#[application]
pub fn by_reference() -> Application<Pipeline> {
    Pipeline::bind(Preprocessor::bind(), Downstream::bind()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn by_value_waits_and_by_reference_starts_at_once() -> Result<()> {
        let runtime = Runtime::builder().start().await?;
        let pipeline = runtime.run(by_reference()).await?;
        let (text, started_after) = pipeline.by_value("a").await?;
        assert_eq!(text, "A");
        assert!(started_after >= Duration::from_secs(1), "{started_after:?}");
        let (text, started_after) = pipeline.by_reference("b").await?;
        assert_eq!(text, "B");
        assert!(started_after < Duration::from_millis(100), "{started_after:?}");
        Ok(())
    }
}
