//! The declaration of deployments: the [`Deployment`] trait, the options of a deployment, and its
//! binding into a graph.
//!
//! Nothing in this module runs anything. A [`Bound`] is a recipe: `application` turns recipes into
//! a graph, `controller` decides which replicas the graph needs, and `node` starts them.

mod autoscaling;
mod bound;
mod bound_id;
mod candidates;

mod content;
mod content_of;
mod digest;
mod init;
mod link;
mod named;
mod options;
mod options_table;
mod request_router;
pub(crate) mod setting;
pub(crate) mod table;
mod target_capacity;

pub use autoscaling::AUTOSCALING;
pub use autoscaling::{
    Aggregation, AutoscalingConfig, AutoscalingContext, AutoscalingError, AutoscalingPolicy,
    SharedPolicy, TargetOngoingRequests,
};
pub use bound::{AnyBound, Bound, Constructor};
pub use bound_id::BoundId;
pub(crate) use candidates::CandidateSource;
pub use candidates::{Candidate, Candidates};
pub use content::Content;
pub use content_of::{
    ContentByIdentity, ContentByPointer, ContentBySerde, ContentOf, ContentOtherwise,
};
pub(crate) use digest::digest;
pub use digest::{ContentHash, build_id};
pub use init::{ByBound, ByText, ByValue, Copies, Init, IntoInit};
pub use link::{Link, Wiring};
pub use named::{NamedPolicy, NamedRouter};
pub use options::{DeploymentOptions, OptionsError};
pub use options_table::OPTIONS;
pub(crate) use request_router::MadeRouter;
pub use request_router::{
    ArgumentsByPlace, CustomRouting, RequestRouter, RequestRouting, RoutedCall,
};
pub use setting::ValueKind;
pub use table::{GivenIn, OnUpdate, OptionFault, OptionInfo};
pub(crate) use target_capacity::TargetCapacity;

/// A struct whose instances are replicas. Implemented by `#[deployment]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a deployment",
    label = "this type has no `#[deployment]`",
    note = "put `#[deployment]` on the struct `{Self}` and `#[handle]` on its `impl` block"
)]
pub trait Deployment: Sized + Send + 'static {
    /// The default name of the deployment: the struct's name, or the `name` option.
    const NAME: &'static str;
    /// The typed client of the deployment, `XHandle`.
    type Handle: HandleOf<Deployment = Self>;
    /// The reach of the deployment's calls: [`Anywhere`], or [`InProcess`] for calls that cannot
    /// leave the process.
    type Locality: Locality;
    /// The options written in `#[deployment(...)]`.
    fn options() -> DeploymentOptions;
}

/// The typed client of a deployment. Implemented by `#[deployment]` for `XHandle`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handle of a deployment",
    label = "expected the handle that `#[deployment]` generates, like `AdderHandle`"
)]
pub trait HandleOf: Clone + Send + Sync + 'static {
    /// The deployment that the handle calls.
    type Deployment: Deployment<Handle = Self>;
    /// Creates a client of the deployment that runs behind `link`.
    #[doc(hidden)]
    fn connect(link: Link) -> Self;
}

/// The reach of a deployment's calls. See [`Deployment::Locality`].
pub trait Locality: Send + Sync + 'static {
    /// True if arguments and results can be encoded as bytes.
    const TRAVELS: bool;
}

/// The locality of calls that may cross to another process: everything in them is serializable.
#[derive(Debug)]
pub enum Anywhere {}

/// The locality of `#[deployment(local)]`: calls stay in the caller's process, whatever their
/// types.
#[derive(Debug)]
pub enum InProcess {}

impl Locality for Anywhere {
    const TRAVELS: bool = true;
}

impl Locality for InProcess {
    const TRAVELS: bool = false;
}
