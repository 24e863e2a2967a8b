//! The items that a program imports to use Serve: `use serve_core::prelude::*;`.
//!
//! The derives of serde and schemars expand to paths of those crates, so list the crates in
//! `Cargo.toml` if you use their derives.

pub use futures::{Stream, StreamExt as _, TryStreamExt as _};
pub use schemars::JsonSchema;
pub use serde::{Deserialize, Serialize};

pub use crate::application::{Application, IntoApplication};
pub use crate::call::{CallError, CallOptions, InputStream, ObjectRef, Response, ResponseStream};
pub use crate::deployment::{AutoscalingConfig, Bound, Deployment};
pub use crate::dispatch::DeploymentHandle;
pub use crate::error::{Error, HttpStatus, Result};
#[cfg(feature = "http")]
pub use crate::ingress::WebSocket;
pub use crate::replica::Multiplexed;
pub use crate::runtime::Runtime;
pub use crate::testing::{MockRuntime, Mode};
pub use crate::{Bytes, context, replica_context};
pub use serve_macros::{
    application, batch, blocking, check_health, delete, deployment, get, handle, patch, post, put,
    reconfigure, retry, routes, shutdown, task, websocket,
};
