//! Chaining calls: a response that has not been awaited is passed on as an argument.

use serve_core::prelude::*;

/// Adds a fixed number.
#[deployment]
#[derive(Debug)]
pub struct Adder(i64);

#[handle]
impl Adder {
    /// Adds `by` to each input.
    pub fn new(by: i64) -> Self {
        Self(by)
    }

    /// The input and the fixed number.
    pub async fn add(&self, input: i64) -> i64 {
        input + self.0
    }
}

/// Multiplies by a fixed number.
#[deployment]
#[derive(Debug)]
pub struct Multiplier(i64);

#[handle]
impl Multiplier {
    /// Multiplies each input by `by`.
    pub fn new(by: i64) -> Self {
        Self(by)
    }

    /// The input times the fixed number.
    pub async fn multiply(&self, input: i64) -> i64 {
        input * self.0
    }
}

/// The ingress: adds, then multiplies.
#[deployment]
#[derive(Debug)]
pub struct Chain {
    adder: AdderHandle,
    multiplier: MultiplierHandle,
}

#[handle]
impl Chain {
    /// Calls `adder` first.
    pub fn new(adder: AdderHandle, multiplier: MultiplierHandle) -> Self {
        Self { adder, multiplier }
    }

    /// The sum goes straight from the adder to the multiplier; nobody waits for it here.
    pub async fn calculate(&self, input: i64) -> Result<i64> {
        let sum = self.adder.add(input);
        Ok(self.multiplier.multiply(sum).await?)
    }
}

/// (input + 1) * 2.
#[application]
pub fn chain() -> Application<Chain> {
    Chain::bind(Adder::bind(1), Multiplier::bind(2)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn five_plus_one_times_two_is_twelve() -> Result<()> {
        let runtime = Runtime::builder().start().await?;
        let chain = runtime.run(chain()).await?;
        assert_eq!(chain.calculate(5).await?, 12);
        Ok(())
    }
}
