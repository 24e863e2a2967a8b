//! The Serve runtime of a command: the resources that replicas may reserve, and the work of the
//! runtime, which is done on the workers.

use serve_core::dynamic::AnyHandle;
use serve_core::dynamic::{AnyApplication, Graph};
use serve_core::http::HttpOptions;
use serve_core::{DeployError, Runtime, RuntimeBuilder, StartError};

use super::executor::Workers;
use super::listening::Listening;
use super::progress;
use crate::arguments::{NodeArguments, TlsFiles};

/// A Serve runtime that runs on the workers.
#[derive(Debug)]
pub(super) struct Node<'a> {
    workers: &'a Workers,
    runtime: Runtime,
}

impl<'a> Node<'a> {
    /// Starts the runtime, with HTTP if a socket is given.
    pub(super) async fn start(
        arguments: &NodeArguments,
        workers: &'a Workers,
        listening: Option<(Listening, Option<TlsFiles<'_>>)>,
    ) -> Result<Self, StartError> {
        let mut builder = builder(arguments);
        if let Some((listening, tls)) = listening {
            builder = listening.apply(builder);
            if let Some(TlsFiles { cert, key }) = tls {
                builder = builder.http_options(HttpOptions::new().tls_cert(cert).tls_key(key));
            }
        }
        Ok(Self { workers, runtime: workers.run(builder.start()).await? })
    }

    /// Deploys an application, and meanwhile reports what the deploy waits for.
    pub(super) async fn deploy(
        &self,
        application: AnyApplication,
        graph: &Graph,
    ) -> Result<AnyHandle, DeployError> {
        let (runtime, name) = (self.runtime.clone(), &graph.application);
        tokio::select! {
            deployed = self.workers.run(async move { runtime.run_any(application).await }) => deployed,
            never = progress::report(&self.runtime, name) => match never {},
        }
    }

    /// Stops the runtime after the requests in progress have ended.
    pub(super) async fn shut_down(&self) {
        let runtime = self.runtime.clone();
        self.workers.run(async move { runtime.shutdown().await }).await;
    }

    pub(super) fn workers(&self) -> &Workers {
        self.workers
    }

    pub(super) fn runtime(&self) -> &Runtime {
        &self.runtime
    }
}

/// Returns a builder with the resources of the node.
fn builder(node: &NodeArguments) -> RuntimeBuilder {
    // Set even if it equals the runtime's own default, so that messages always name this number.
    let mut builder = Runtime::builder().num_cpus(node.cpus());
    if let Some(gpus) = node.num_gpus {
        builder = builder.num_gpus(gpus);
    }
    for resource in &node.resources {
        builder = builder.resource(&resource.name, resource.amount);
    }
    builder
}
