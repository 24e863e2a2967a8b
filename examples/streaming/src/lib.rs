//! Streaming: a caller that passes a streamer's items on as they come.

use serve_core::futures::stream;
use serve_core::prelude::*;

/// Counts.
#[deployment]
#[derive(Debug, Default)]
pub struct Streamer;

#[handle]
impl Streamer {
    /// The numbers below `limit`.
    pub fn count(&self, limit: u32) -> impl Stream<Item = u32> {
        stream::iter(0..limit)
    }
}

/// Streams what it gets from a [`Streamer`].
#[deployment]
#[derive(Debug)]
pub struct Caller {
    streamer: StreamerHandle,
}

#[handle]
impl Caller {
    /// Calls `streamer`.
    pub fn new(streamer: StreamerHandle) -> Self {
        Self { streamer }
    }

    /// Each number as text, as soon as it is there.
    pub fn tell(&self, limit: u32) -> impl Stream<Item = Result<String>> {
        self.streamer.count(limit).map(|number| Ok(format!("number {}", number?)))
    }
}

/// A caller and its streamer.
#[application]
pub fn streaming() -> Application<Caller> {
    Caller::bind(Streamer::bind()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn items_pass_through() -> Result<()> {
        let runtime = Runtime::builder().start().await?;
        let caller = runtime.run(streaming()).await?;
        let told: Vec<String> = caller.tell(3).try_collect().await?;
        assert_eq!(told, ["number 0", "number 1", "number 2"]);
        Ok(())
    }

    #[tokio::test]
    async fn synchronous_code_reads_them_too() -> Result<()> {
        let runtime = Runtime::builder().start().await?;
        let caller = runtime.run(streaming()).await?;
        // A thread of its own: blocking here would stop the very stream.
        let thread = std::thread::spawn(move || caller.tell(2).blocking_iter().count());
        let told = tokio::task::spawn_blocking(|| thread.join()).await?;
        assert_eq!(told.expect("the thread does not panic"), 2);
        Ok(())
    }
}
