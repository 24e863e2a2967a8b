//! Serve: typed model composition. A program is cut into *deployments*, plain structs
//! whose methods other deployments call through typed handles; each has its own replicas
//! and limits. A graph that compiles is wired correctly.
//!
//! Start with `#[deployment]` and `#[handle]` (see [`prelude`]), then run what `bind`
//! returns with [`Runtime`], or mark a function `#[application]` and use
//! `cargo serve run`.
//!
//! # Inside
//! A module uses only those above it in this list:
//!
//! | module | owns |
//! |---|---|
//! | `error` | the error type of user code |
//! | `deployment` | what a user declares |
//! | `call` | what travels |
//! | `replica` | one instance |
//! | `router` | which replica |
//! | `task` | stateless functions, called alike |
//! | `application` | what is deployed |
//! | `ingress` | HTTP in (feature `http`) |
//! | `controller` | what was asked for against what runs |
//! | `testing` | the mock runtime |
//! | `runtime` | puts the parts together |

#![cfg_attr(
    not(feature = "http"),
    allow(dead_code, unused_imports, reason = "some of it is for the HTTP front door alone")
)]

// Generated code names this crate by its absolute path, also in the crate's own tests.
extern crate self as serve_core;

#[macro_use]
mod macros;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod application;
mod call;
mod controller;
mod deployment;
mod error;
#[cfg(feature = "http")]
mod ingress;
pub mod prelude;
mod replica;
mod router;
mod runtime;
mod task;
mod testing;

#[cfg(feature = "http")]
pub use axum;
pub use bytes::Bytes;
pub use futures;
pub use serve_macros::{
    application, batch, blocking, check_health, delete, deployment, get, handle, patch, post, put,
    reconfigure, retry, routes, shutdown, task,
};

pub use application::{Application, IntoApplication};
pub use call::{
    Arg, BlockingIter, CallError, CallOptions, Context, InputStream, IntoArg, ObjectRef,
    ReplicaContext, Response, ResponseStream, UpstreamError, Wire,
};
pub use controller::{
    ApplicationDetails, ApplicationStatus, AutoscalingDecision, DeadReplica, DeployError,
    DeploymentDetails, DeploymentStatus, DeploymentStatusTrigger, ReplicaDetails, ReplicaState,
    Status,
};
pub use deployment::{
    Aggregation, Anywhere, AutoscalingConfig, AutoscalingContext, AutoscalingError,
    AutoscalingPolicy, Bound, ByBound, ByText, ByValue, Candidate, Deployment, DeploymentOptions,
    HandleOf, InProcess, Init, IntoInit, Locality, OptionsError, RequestRouter, RequestRouting,
    RoutedCall, TargetOngoingRequests,
};
pub use error::{Error, Fault, HttpStatus, Result};
#[cfg(feature = "http")]
pub use ingress::{EndpointError, HttpClient, HttpRequest, HttpResponse};
pub use replica::{
    BatchLimits, Batching, Handlers, MethodInfo, Multiplexed, ParamInfo, batching, context,
    replica_context,
};
pub use router::{AnyHandle, ByNameError, DeploymentHandle};
pub use runtime::{Runtime, RuntimeBuilder, StartError};
pub use testing::{CallRecord, IntoMock, MockRuntime, MockRuntimeBuilder, Mode};

/// The README's code is tested like the rest.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
