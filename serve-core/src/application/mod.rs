//! Applications: the graph of deployments that an application describes, and the registry of
//! applications that a program can run by name.

mod app;
mod blueprints;
mod configured;
mod endpoint_error;
mod graph;
mod graph_error;
mod http_options;
mod outline;
mod plan;
mod registry;

pub(crate) use app::UNNAMED;
pub use app::{AnyApplication, Application, IntoApplication};
pub(crate) use blueprints::{BlueprintId, Blueprints};
pub(crate) use configured::Configured;
pub use endpoint_error::EndpointError;
pub use graph::{Graph, GraphNode};
pub use graph_error::GraphError;
#[cfg(feature = "http")]
pub(crate) use http_options::{ERROR_FORMATS, HttpSettings};
pub use http_options::{ErrorFormatName, HTTP_OPTIONS, HttpOptions, ParseRateError, Rate};
#[cfg(feature = "config")]
pub(crate) use http_options::{GROUPS, LIMITS};
pub(crate) use outline::{Outline, OutlineNode};
pub(crate) use plan::{Plan, PlanNode};
pub use registry::{BuildError, RegisteredApplication, no_argument, read_argument, registered};
