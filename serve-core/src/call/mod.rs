//! What travels: arguments, responses, streams, object references, errors, context and
//! deadlines.
//!
//! A call is described here and made elsewhere: `replica` knows how a method runs, and
//! `router` where.

pub(crate) mod argument;
pub(crate) mod blocking;
pub(crate) mod codec;
pub(crate) mod context;
pub(crate) mod deadline;
pub(crate) mod error;
mod input_stream;
mod object_ref;
mod options;
pub(crate) mod pending;
pub(crate) mod response;
pub(crate) mod spawner;
pub(crate) mod stream;
pub(crate) mod text;
mod wire;

pub use argument::{Arg, ArgTuple, IntoArg};
pub use codec::{
    Arguments, ErrorCodec, Names, NoError, ParamSource, ParamTraits, Payload, Wire, WireError,
};
pub use context::{Context, Directory, ReplicaContext};
pub use error::{CallError, UpstreamError};
pub use input_stream::InputStream;
pub use object_ref::ObjectRef;
pub use options::CallOptions;
pub use response::Response;
pub use stream::{BlockingIter, ResponseStream};
