//! What is deployed: an application, the graph it stands for, and the registry of those
//! that a program can run by name.

mod app;
mod graph;
mod plan;
mod registry;

pub use app::{AnyApplication, Application, IntoApplication};
pub use graph::{Graph, GraphNode};
pub use plan::GraphError;
pub(crate) use plan::{Plan, PlanNode};
pub use registry::{BuildError, RegisteredApplication, no_argument, read_argument, registered};
