//! Serve: typed model composition. A program is cut into *deployments*: plain structs whose methods
//! other deployments call through typed handles. Each deployment has its own replicas and limits. A
//! graph that compiles is wired correctly.
//!
//! ```
//! use serve_core::prelude::*;
//!
//! #[deployment(num_replicas = 3)]
//! struct Adder(i64);
//!
//! #[handle]
//! impl Adder {
//!     pub fn new(by: i64) -> Self { Self(by) }
//!     pub async fn add(&self, input: i64) -> i64 { input + self.0 }
//! }
//!
//! #[deployment]
//! struct Twice { adder: AdderHandle }
//!
//! #[handle]
//! impl Twice {
//!     pub fn new(adder: AdderHandle) -> Self { Self { adder } }
//!
//!     pub async fn run(&self, input: i64) -> Result<i64> {
//!         let once = self.adder.add(input);       // not awaited: it goes into the next call
//!         Ok(self.adder.add(once).await?)
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<()> {
//!     let runtime = Runtime::builder().start().await?;
//!     let twice = runtime.run(Twice::bind(Adder::bind(1))).await?;
//!     assert_eq!(twice.run(5).await?, 7);
//!     runtime.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! # Overview
//!
//! | for | see |
//! |---|---|
//! | common imports | [`prelude`] |
//! | the form of a deployment | [`deployment`](macro@deployment), [`handle`](macro@handle) |
//! | call results and errors | [`Response`], [`ResponseStream`], [`ObjectRef`], [`CallError`] |
//! | the request that a method serves | [`context()`](context()), [`spawn`](spawn()) for tasks |
//! | running a graph | [`Runtime`]; [`application`](macro@application) for `cargo serve run` |
//! | the status of what runs | [`status`] |
//! | scaling and routing | [`autoscaling`], [`routing`] |
//! | batching and multiplexing | [`batch`](macro@batch), [`batching`], [`Multiplexed`] |
//! | HTTP | [`post`](macro@post) and its like, [`websocket`](macro@websocket), [`routes`](macro@routes), [`http`](mod@http) |
//! | ending early when a shutdown begins | [`shutting_down()`] |
//! | tests | [`MockRuntime`], [`testing`] |
//! | calls by name | [`dynamic`] |
//! | configuration files | `config` (feature `config`) |
//!
//! `docs/` in the repository is the guide: a page for each of these topics, and one for users who
//! come from Ray Serve.
//!
//! # Features
//!
//! | feature | default | enables |
//! |---|---|---|
//! | `http` | on | endpoints, `#[routes]`, OpenAPI, and the port to reach them |
//! | `compression` | on | compressed bodies of requests and responses |
//! | `admin` | the admin port: status out, desired state in (features `http` and `config`) |
//! | `config` | on | configuration files: `serve.yaml` |
//! | `tls` | off | HTTPS on the port |
//!
//! # Architecture
//! A module uses only the modules above it in this list:
//!
//! | module | owns |
//! |---|---|
//! | `error`, `time` | the error type of user code; instant arithmetic that cannot overflow |
//! | `observe` | spans and events |
//! | `deployment` | the declaration of deployments |
//! | `call` | the data of calls |
//! | `method` | the types of the code that `#[handle]` writes |
//! | `replica` | one running instance |
//! | `transport` | calls as bytes, between processes |
//! | `router` | the choice of a replica for each call |
//! | `dispatch` | the life of a call |
//! | `application` | applications and their graphs |
//! | `controller` | the decisions about what runs, as data |
//! | `node` | this process: starts, checks and stops what is assigned to it |
//! | `ingress` | HTTP in (feature `http`) |
//! | `config` | configuration files (feature `config`) |
//! | `testing` | the mock runtime |
//! | `runtime` | puts the parts together |

#![cfg_attr(
    not(feature = "http"),
    allow(dead_code, unused_imports, reason = "some of it is for HTTP alone")
)]

// Generated code names this crate by its absolute path, also in the crate's own tests.
extern crate self as serve_core;

#[macro_use]
mod macros;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
#[cfg(all(feature = "http", feature = "config"))]
mod admin;
mod application;
mod call;
#[cfg(feature = "config")]
pub mod config;
mod controller;
mod deployment;
mod dispatch;
mod error;
#[cfg(feature = "http")]
mod ingress;
mod method;
mod node;
mod observe;
pub mod prelude;
mod replica;
mod router;
mod runtime;
pub mod testing;
mod time;
mod transport;

#[cfg(feature = "http")]
pub use axum;
pub use bytes::Bytes;
pub use futures;
pub use serve_macros::{
    application, batch, blocking, check_health, delete, deployment, get, handle, patch, post, put,
    reconfigure, retry, routes, shutdown, task, websocket,
};

pub use application::Application;
pub use call::{
    CallError, CallOptions, Context, InputStream, IntoArg, ObjectRef, ReplicaContext, Response,
    ResponseStream,
};
pub use controller::DeployError;
pub use deployment::{Bound, Deployment, IntoInit};
pub use dispatch::DeploymentHandle;
pub use error::{Error, Result};
pub use replica::{Multiplexed, context, in_context, replica_context, shutting_down, spawn};
pub use runtime::{Runtime, RuntimeBuilder, StartError};
pub use testing::MockRuntime;

/// The types of calls that programs seldom name: parts of [`CallError`], and what
/// [`ResponseStream::blocking_iter`] returns.
pub mod calls {
    pub use crate::call::{BlockingIter, UpstreamError};
    pub use crate::error::CallErrorKind;
}

/// The status of applications, deployments and replicas, as [`Runtime::status`] returns it, and the
/// errors of changes that a running instance refuses.
pub mod status {
    pub use crate::controller::{
        ApplicationDetails, ApplicationSource, ApplicationStatus, ConfigurationError, DeadReplica,
        DeploymentDetails, DeploymentStatus, MethodDetails, ReplicaDetails, ReplicaState, Shortage,
        ShortageOf, Status, StatusTrigger,
    };
    #[cfg(feature = "config")]
    pub use crate::runtime::ApplyError;
}

/// The scaling of a deployment with its load: [`AutoscalingConfig`](autoscaling::AutoscalingConfig),
/// and policies of your own.
pub mod autoscaling {
    #[doc(inline)]
    pub use crate::__register_autoscaling_policy as register_autoscaling_policy;
    pub use crate::controller::AutoscalingDecision;
    pub use crate::deployment::{
        Aggregation, AutoscalingConfig, AutoscalingContext, AutoscalingError, AutoscalingPolicy,
        TargetOngoingRequests,
    };
}

/// The choice of a replica for each call: [`RequestRouting`](routing::RequestRouting), and request
/// routers of your own.
pub mod routing {
    #[doc(inline)]
    pub use crate::__register_request_router as register_request_router;
    pub use crate::deployment::{Candidate, Candidates, RequestRouter, RequestRouting, RoutedCall};
}

/// Batches, as the code of a `#[batch]` method sees them.
pub mod batching {
    pub use crate::replica::{Batching, batch_contexts};
}

/// Calls by name and with JSON, and the applications that a program can run by name. For programs
/// that do not know the types of what they call, such as command lines and gateways.
pub mod dynamic {
    pub use crate::application::{
        AnyApplication, BuildError, Graph, GraphError, GraphNode, RegisteredApplication, registered,
    };
    pub use crate::dispatch::{AnyHandle, ByNameError};
    pub use crate::method::{MethodInfo, ParamInfo};
}

/// HTTP: the options of the port and of the requests of an application, results with a status and
/// headers of their own, files, errors and their statuses, and WebSockets.
pub mod http {
    #[cfg(feature = "http")]
    #[doc(inline)]
    pub use crate::__register_error_format as register_error_format;
    #[cfg(feature = "http")]
    pub use crate::application::{HttpOptions, ParseRateError, Rate};
    pub use crate::error::HttpStatus;
    #[cfg(feature = "http")]
    pub use crate::ingress::{
        CertificateError, CloseCode, Cookie, Event, FilePart, HttpError, Message, Reply, WebSocket,
        WebSocketError, WebSocketRejection, WebSocketSender, WebSocketUpgrade,
    };
}

/// The options of deployments as data: their table, and their form in a config file.
#[doc(hidden)]
pub mod options {
    pub use crate::application::{HTTP_OPTIONS, HttpOptions, ParseRateError, Rate};
    pub use crate::deployment::{
        AUTOSCALING, ContentHash, DeploymentOptions, GivenIn, OPTIONS, OnUpdate, OptionFault,
        OptionInfo, OptionsError, ValueKind, build_id,
    };
}

/// The code of the README and of the guide, which is tested like the rest.
#[cfg(doctest)]
mod guide {
    macro_rules! pages {
        ($($name:ident: $file:literal;)*) => {$(
            #[doc = include_str!(concat!("../../", $file))]
            struct $name;
        )*};
    }

    pages! {
        Readme: "README.md";
        GettingStarted: "docs/getting-started.md";
        Deployments: "docs/deployments.md";
        Composition: "docs/composition.md";
        Calls: "docs/calls.md";
        Batching: "docs/batching.md";
        Multiplexing: "docs/multiplexing.md";
        Routing: "docs/routing.md";
        Http: "docs/http.md";
        HttpPort: "docs/http-port.md";
        Updates: "docs/updates.md";
        Resources: "docs/resources.md";
        Scaling: "docs/scaling.md";
        Testing: "docs/testing.md";
        Operating: "docs/operating.md";
        Configuration: "docs/configuration.md";
        Troubleshooting: "docs/troubleshooting.md";
        FromRayServe: "docs/from-ray-serve.md";
    }
}
