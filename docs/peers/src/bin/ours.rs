//! The program in Serve: an ingress that calls an adder.
#![expect(
    unreachable_pub,
    reason = "a handle has the public methods, and a program no public face"
)]

use serve_core::prelude::*;
use tokio::time::Instant;

#[deployment]
#[derive(Default)]
struct Adder;

#[handle]
impl Adder {
    pub async fn add(&self, input: i64) -> i64 {
        input + 1
    }
}

#[deployment]
struct Ingress {
    adder: AdderHandle,
}

#[handle]
impl Ingress {
    fn new(adder: AdderHandle) -> Self {
        Self { adder }
    }

    #[post("/calculate")]
    pub async fn calculate(&self, input: i64) -> Result<i64> {
        Ok(self.adder.add(input).await?)
    }

    /// Microseconds for one call of the adder, over `count` of them in a row.
    #[post("/calls")]
    pub async fn calls(&self, count: u32) -> Result<f64> {
        let began = Instant::now();
        for input in 0..count {
            self.adder.add(i64::from(input)).await?;
        }
        Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(count))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let runtime = Runtime::builder().http(([127, 0, 0, 1], 8000)).start().await?;
    runtime.run(Ingress::bind(Adder::bind())).await?;
    std::future::pending().await
}
