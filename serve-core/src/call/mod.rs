//! The data of calls: arguments, responses, streams, object references, errors, contexts and
//! deadlines.
//!
//! This module describes calls. Other modules make them: `method` knows how a method runs, `router`
//! chooses the replica, and `dispatch` drives a call from its start to its end.

mod alarm;
pub(crate) mod argument;
pub(crate) mod blocking;
pub(crate) mod callee;
pub(crate) mod context;
pub(crate) mod deadline;
pub(crate) mod error;
pub(crate) mod expiry;
pub(crate) mod in_place;
mod input_stream;
mod object_ref;
mod options;
pub(crate) mod pending;
pub(crate) mod request;
pub(crate) mod request_ids;
pub(crate) mod response;
pub(crate) mod runtime_context;
pub(crate) mod stopping;
pub(crate) mod stream;
pub(crate) mod wire;

pub use argument::{Arg, ArgTuple, IntoArg};
pub use context::{Context, Directory, ReplicaContext};
pub use error::{CallError, UpstreamError};
pub use input_stream::InputStream;
pub use object_ref::ObjectRef;
pub use options::CallOptions;
pub use response::Response;
pub use stream::{BlockingIter, ResponseStream};
pub use wire::arguments::{Arguments, Names, ParamSource, ParamTraits};
pub use wire::payload::{ErrorCodec, NoError, Payload, Wire, WireError};
