//! The traits and types of the code that `#[handle]` writes: each method with its types
//! ([`Method`]) and without them ([`AnyMethod`]), and the whole block ([`Handlers`]).
//!
//! Nothing here chooses a replica or sets a context: `replica` runs methods, and `dispatch`
//! calls them.

mod any_method;
mod cell;
mod erased;
mod handlers;
mod info;
mod reply;
mod sink;
mod typed;

pub use any_method::{AnyItems, AnyMethod, AnyReply, AnySink, AnyValue, PayloadWriter};
pub use cell::{Exclusive, InstanceCell, Shared};
pub use erased::{Erased, Many, One, Shape};
pub use handlers::{Handlers, Hook};
pub use info::{BatchLimits, MethodInfo, ParamInfo};
pub use reply::{IntoReply, Reply};
pub use sink::StreamSink;
pub(crate) use sink::{TrySendItem, WeakStreamSink};
pub use typed::{Method, MethodError, Streaming, Unary};
