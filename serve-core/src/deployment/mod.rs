//! What a user declares: a deployment, its options, and how it is bound into a graph.
//!
//! Nothing here runs anything. [`Bound`] is a recipe; `application` turns recipes
//! into a graph and `controller` makes replicas of it.

mod autoscaling;
mod bound;
mod candidates;
mod content;
mod digest;
mod init;
mod link;
mod named;
mod options;
mod options_table;
mod routing;
mod setting;
mod table;

pub use autoscaling::AUTOSCALING;
pub use autoscaling::{
    Aggregation, AutoscalingConfig, AutoscalingContext, AutoscalingError, AutoscalingPolicy,
    SharedPolicy, TargetOngoingRequests,
};
pub use bound::{AnyBound, Bound, BoundId, Constructor};
pub(crate) use candidates::Roster;
pub use candidates::{Candidate, Candidates};
pub use content::{
    Content, ContentByIdentity, ContentByPointer, ContentBySerde, ContentOf, ContentOtherwise,
};
pub(crate) use digest::digest;
pub use digest::{ContentHash, build_id};
pub use init::{ByBound, ByText, ByValue, Init, IntoInit};
pub use link::{Link, Wiring};
pub use named::{NamedPolicy, NamedRouter};
pub use options::{DeploymentOptions, OptionsError};
pub use options_table::OPTIONS;
pub(crate) use routing::MadeRouter;
pub use routing::{ArgumentsByPlace, CustomRouting, RequestRouter, RequestRouting, RoutedCall};
pub use setting::Kind;
pub use table::{GivenIn, OnUpdate, OptionFault, OptionInfo};

/// A struct that replicas are made of. Implemented by `#[deployment]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a deployment",
    label = "this type has no `#[deployment]`",
    note = "put `#[deployment]` on the struct `{Self}` and `#[handle]` on its `impl` block"
)]
pub trait Deployment: Sized + Send + 'static {
    /// Its name where nothing else is said: the struct's name, or the `name` option.
    const NAME: &'static str;
    /// Its typed client, `XHandle`.
    type Handle: HandleOf<Deployment = Self>;
    /// Whether its calls may leave the process: [`Anywhere`] or [`InProcess`].
    type Locality: Locality;
    /// The options written in `#[deployment(...)]`.
    fn options() -> DeploymentOptions;
}

/// The typed client of a deployment. Implemented by `#[deployment]` for `XHandle`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handle of a deployment",
    label = "expected the handle that `#[deployment]` makes, like `AdderHandle`"
)]
pub trait HandleOf: Clone + Send + Sync + 'static {
    /// The deployment it calls.
    type Deployment: Deployment<Handle = Self>;
    /// A client of what runs behind `link`.
    #[doc(hidden)]
    fn connect(link: Link) -> Self;
}

/// Where a deployment's calls may go. See [`Deployment::Locality`].
pub trait Locality: Send + Sync + 'static {
    /// True if arguments and results can be written to bytes.
    const TRAVELS: bool;
}

/// Calls may cross to another process: everything in them is serializable.
#[derive(Debug)]
pub enum Anywhere {}

/// `#[deployment(local)]`: calls stay in the caller's process, whatever their types.
#[derive(Debug)]
pub enum InProcess {}

impl Locality for Anywhere {
    const TRAVELS: bool = true;
}

impl Locality for InProcess {
    const TRAVELS: bool = false;
}
