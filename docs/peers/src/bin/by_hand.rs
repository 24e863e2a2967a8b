//! The same program without Serve: axum, and an adder behind a channel that answers each
//! request in a task of its own. No limits, no deadlines, no cancellation.

use std::io;

use serde::Deserialize;
use serve_core::axum::extract::State;
use serve_core::axum::http::StatusCode;
use serve_core::axum::routing::post;
use serve_core::axum::{Json, Router, serve};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Calls that wait for the adder, at most: as many as Serve lets run by default.
const CAPACITY: usize = 100;

type Call = (i64, oneshot::Sender<i64>);

#[derive(Clone)]
struct Adder(mpsc::Sender<Call>);

impl Adder {
    fn start() -> Self {
        let (sender, mut calls) = mpsc::channel::<Call>(CAPACITY);
        tokio::spawn(async move {
            while let Some((input, reply)) = calls.recv().await {
                tokio::spawn(async move { reply.send(input + 1) });
            }
        });
        Self(sender)
    }

    async fn add(&self, input: i64) -> Result<i64, StatusCode> {
        let (reply, answer) = oneshot::channel();
        let gone = StatusCode::SERVICE_UNAVAILABLE;
        self.0.send((input, reply)).await.map_err(|_| gone)?;
        answer.await.map_err(|_| gone)
    }
}

#[derive(Deserialize)]
struct Calculate {
    input: i64,
}

#[derive(Deserialize)]
struct Calls {
    count: u32,
}

async fn calculate(
    State(adder): State<Adder>,
    Json(Calculate { input }): Json<Calculate>,
) -> Result<Json<i64>, StatusCode> {
    Ok(Json(adder.add(input).await?))
}

async fn calls(
    State(adder): State<Adder>,
    Json(Calls { count }): Json<Calls>,
) -> Result<Json<f64>, StatusCode> {
    let began = Instant::now();
    for input in 0..count {
        adder.add(i64::from(input)).await?;
    }
    Ok(Json(began.elapsed().as_secs_f64() * 1e6 / f64::from(count)))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let routes = Router::new()
        .route("/calculate", post(calculate))
        .route("/calls", post(calls))
        .with_state(Adder::start());
    serve(TcpListener::bind(("127.0.0.1", 8000)).await?, routes).await
}
