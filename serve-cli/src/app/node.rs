//! The Serve runtime of a command: the resources that replicas may reserve, and the work of the
//! runtime, which is done on the workers.

use serve_core::config::Config;
use serve_core::dynamic::AnyHandle;
use serve_core::dynamic::{AnyApplication, Graph};
use serve_core::http::HttpOptions;
use serve_core::{DeployError, Runtime, RuntimeBuilder, StartError};

use super::executor::Workers;
use super::listening::{AdminListening, Listening};
use super::progress;
use crate::arguments::{NodeArguments, TlsFiles};

/// The ports of a runtime, and the settings that they come from.
#[derive(Debug)]
pub(super) struct Ports<'a> {
    pub(super) http: Listening,
    pub(super) admin: AdminListening,
    pub(super) tls: Option<TlsFiles<'a>>,
    pub(super) config: &'a Config,
}

/// A Serve runtime that runs on the workers.
#[derive(Debug)]
pub(super) struct Node<'a> {
    workers: &'a Workers,
    runtime: Runtime,
}

impl<'a> Node<'a> {
    /// Starts the runtime, with its ports if there are any.
    pub(super) async fn start(
        arguments: &NodeArguments,
        workers: &'a Workers,
        ports: Option<Ports<'_>>,
    ) -> Result<Self, StartError> {
        let mut builder = builder(arguments);
        if let Some(Ports { http, admin, tls, config }) = ports {
            let mut options: HttpOptions = config.http.options.clone();
            if let Some(TlsFiles { cert, key, .. }) = tls {
                options = options.tls_cert(cert).tls_key(key);
            }
            builder = http.apply(builder).http_options(options).process_config(config);
            builder = admin.apply(builder);
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
