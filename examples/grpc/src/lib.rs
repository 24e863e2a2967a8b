//! gRPC beside HTTP on one port: a tonic service in `#[routes]` that calls another deployment, with
//! unary calls and streams in both directions, health checks and reflection.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use serve_core::axum::Router;
use serve_core::futures::stream::{self, BoxStream};
use serve_core::prelude::*;
use serve_core::shutting_down;
use tonic::service::Routes;
use tonic::{Code, Request, Response as Reply, Status, Streaming};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use self::pb::words_server::{SERVICE_NAME, Words, WordsServer};

/// The messages and the service of `proto/words.proto`.
#[expect(missing_docs, reason = "generated code")]
pub mod pb {
    tonic::include_proto!("words.v1");

    /// The description of the service, for reflection.
    pub const DESCRIPTION: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/words.bin"));
}

/// Works on text.
#[deployment(num_replicas = 2)]
#[derive(Debug)]
pub struct Writer {
    pause: Duration,
}

#[handle]
impl Writer {
    /// A writer that pauses before each word.
    pub fn new(pause: Duration) -> Self {
        Self { pause }
    }

    /// The number of words of a text.
    pub async fn count(&self, text: String) -> usize {
        text.split_whitespace().count()
    }

    /// The words of a text, one after the other.
    pub fn split(&self, text: String) -> impl Stream<Item = String> {
        let pause = self.pause;
        let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        stream::iter(words).then(move |word| async move {
            tokio::time::sleep(pause).await;
            word
        })
    }

    /// Each word in capital letters, as soon as it comes.
    pub fn shout(&self, words: InputStream<String>) -> impl Stream<Item = Result<String>> {
        words.map(|word| Ok(word?.to_uppercase()))
    }
}

/// The ingress: the same words over HTTP and over gRPC.
#[deployment]
#[derive(Debug)]
pub struct Gateway {
    writer: WriterHandle,
    health: HealthReporter,
}

#[handle]
impl Gateway {
    /// A gateway that is healthy as long as its writer answers.
    pub async fn new(writer: WriterHandle) -> Self {
        let health = HealthReporter::new();
        health.set_service_status(SERVICE_NAME, ServingStatus::Serving).await;
        Self { writer, health }
    }

    /// The number of words of a text, over HTTP.
    #[get("/count")]
    pub async fn count_words(&self, text: String) -> Result<usize> {
        Ok(self.writer.count(text).await?)
    }

    /// Tells the clients of gRPC's health checks whether the service can answer. A gateway whose writer
    /// is gone is not replaced: that would not help.
    #[check_health]
    async fn check(&self) {
        let writer = self.writer.options(CallOptions::new().timeout(Duration::from_secs(1)));
        let status = match writer.count("").await {
            Ok(_) => ServingStatus::Serving,
            Err(_) => ServingStatus::NotServing,
        };
        self.health.set_service_status(SERVICE_NAME, status).await;
    }

    /// The services of gRPC.
    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        tokio::spawn(end_watches(self.health.clone(), shutting_down()));
        let health = HealthService::from_health_reporter(self.health.clone());
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTION)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .expect("the build script wrote the description");
        // `Routes::new` would also answer every path that no service has, and hide `/docs`.
        Routes::from(Router::new())
            .add_service(WordsServer::from_arc(self))
            .add_service(HealthServer::new(health))
            .add_service(reflection)
            .into_axum_router()
    }
}

/// Ends the streams of clients that watch the health of the service, which would otherwise keep the
/// replica from stopping.
async fn end_watches(mut health: HealthReporter, end: impl Future<Output = ()>) {
    end.await;
    for service in ["", SERVICE_NAME] {
        health.set_service_status(service, ServingStatus::NotServing).await;
        health.clear_service_status(service).await;
    }
}

#[tonic::async_trait]
impl Words for Gateway {
    async fn count(&self, request: Request<pb::Text>) -> Result<Reply<pb::Number>, Status> {
        let number = self.writer.count(request.into_inner().text).await.map_err(status)?;
        Ok(Reply::new(pb::Number { number: number as u64 }))
    }

    type SplitStream = BoxStream<'static, Result<pb::Word, Status>>;

    async fn split(&self, request: Request<pb::Text>) -> Result<Reply<Self::SplitStream>, Status> {
        let words = self.writer.split(request.into_inner().text);
        let words = words.map(|word| word.map(|word| pb::Word { word }).map_err(status));
        Ok(Reply::new(words.boxed()))
    }

    type ShoutStream = BoxStream<'static, Result<pb::Word, Status>>;

    async fn shout(
        &self,
        request: Request<Streaming<pb::Word>>,
    ) -> Result<Reply<Self::ShoutStream>, Status> {
        // A stream that breaks off ends here: its client has no answer to wait for.
        let words = request.into_inner().filter_map(async |word| Some(word.ok()?.word));
        let shouted = self.writer.shout(words);
        let shouted = shouted.map(|word| word.map(|word| pb::Word { word }).map_err(status));
        Ok(Reply::new(shouted.boxed()))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` passes it so")]
/// The status of a failed call.
fn status<E: Display>(error: CallError<E>) -> Status {
    Status::new(Code::from_i32(error.grpc_code()), error.to_string())
}

/// The gateway and its writer.
#[application]
pub fn grpc() -> Application<Gateway> {
    Gateway::bind(Writer::bind(Duration::ZERO)).into()
}

#[cfg(test)]
mod tests;
