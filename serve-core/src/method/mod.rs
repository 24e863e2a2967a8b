//! What `#[handle]` writes: each method of a deployment as a type, with its types
//! ([`Method`]) and without them ([`AnyMethod`]), and what the runtime must know of the
//! block as a whole ([`Handlers`]).
//!
//! Nothing here chooses a replica or sets a context. `replica` runs methods, `dispatch`
//! calls them.

mod cell;
mod erased;
mod handlers;
mod info;
mod reply;
mod sink;
mod typed;

pub use cell::{Exclusive, InstanceCell, Shared};
pub use erased::{AnyItems, AnyMethod, AnyReply, AnySink, AnyValue, Erased, Many, One, Shape};
pub use handlers::{Handlers, Hook};
pub use info::{BatchLimits, MethodInfo, ParamInfo};
pub use reply::{IntoReply, Reply};
pub use sink::StreamSink;
pub(crate) use sink::{TrySendItem, WeakStreamSink};
pub use typed::{Method, MethodError, Streaming, Unary};

pub use erased::PayloadWriter;
