//! `#[task]`: stateless functions that are called like a deployment's methods.

use std::convert::Infallible;
use std::fmt;
use std::future::Ready;
use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;

use super::entrance::{Decided, Entrance};
use super::served::Plain;
use super::serving::Serving;
use super::start::{Head, start};
use crate::call::callee::CalleeRef;
use crate::call::callee::{Callee, Ticket};
use crate::call::in_place;
use crate::call::pending::Outcome;
use crate::call::request::{Request, RequestDetails};
use crate::call::request_ids::RequestIds;
use crate::call::runtime_context::RuntimeContext;
use crate::call::{ArgTuple, CallError, Response};
use crate::replica::Scope;
use crate::router::{Called, RouteRequest};

/// A function marked `#[task]`, as a type with the function's name. The type's `remote` calls
/// the function.
pub trait Task: 'static {
    /// The function's parameters.
    type Args: Send + 'static;
    /// The type of the function's result.
    type Ok: Send + 'static;
    /// The function's error; [`Infallible`](std::convert::Infallible) if it has none.
    type Err: fmt::Display + fmt::Debug + Send + 'static;
    /// The function's name.
    const NAME: &'static str;
    /// Runs the function.
    fn run(args: Self::Args)
    -> impl Future<Output = Result<Self::Ok, CallError<Self::Err>>> + Send;
}

/// The callee of a task's calls.
struct TaskCallee {
    name: &'static str,
    runtime: Arc<RuntimeContext>,
    span: tracing::Span,
}

impl Callee for TaskCallee {
    fn name(&self) -> &str {
        self.name
    }

    fn runtime(&self) -> &Arc<RuntimeContext> {
        &self.runtime
    }

    fn reference(self: &Arc<Self>) -> CalleeRef {
        CalleeRef::Owned(Arc::clone(self) as _)
    }

    fn span(&self) -> &tracing::Span {
        &self.span
    }

    fn leave(&self, _: Ticket) {}

    fn leave_again(&self, _: tokio::task::Id) {}
}

/// A task waits for no seat: it starts at once, on no replica.
impl Entrance for TaskCallee {
    type Seat = Arc<RuntimeContext>;
    type Queued = Ready<Outcome<Arc<RuntimeContext>>>;
    type Undecided<'a> = Infallible;

    fn begin_request(&self, request: &mut Request) {
        if !request.has_begun() {
            let id = Some(self.runtime.ids.next());
            *request = Request::with_details(RequestDetails { id, ..Default::default() });
        }
    }

    fn seat_now(
        &self,
        request: &mut Request,
        _: Called,
    ) -> Result<Arc<RuntimeContext>, Infallible> {
        self.begin_request(request);
        Ok(Arc::clone(&self.runtime))
    }

    fn decide(
        self: &Arc<Self>,
        undecided: Infallible,
        _: &Request,
        _: RouteRequest<'_>,
        _: Called,
    ) -> Outcome<Decided<Self>> {
        match undecided {}
    }
}

/// Starts a task on the runtime of the current call, or else on the current tokio runtime.
///
/// # Panics
/// If there is neither a current call nor a current tokio runtime.
#[doc(hidden)]
pub fn start_task<T: Task>(args: impl ArgTuple<Values = T::Args>) -> Response<T::Ok, T::Err> {
    let (name, runtime) = (T::NAME, current_runtime(T::NAME));
    let callee = Arc::new(TaskCallee { name, runtime, span: tracing::Span::none() });
    let (head, args) = (Head::here(None, None, None), args.split());
    let (pending, task) =
        start(&callee, "", Called::UNCOUNTED, head, args, unrouted, |acquire, head, _| {
            let begin = |_: &mut Option<Scope>, args| Plain::<_, T::Args>::new(T::run(args));
            in_place::call_spawned();
            callee.runtime.tokio.spawn(Serving::new(acquire, head, begin))
        });
    Response::started(pending, task)
}

/// The `RouteRequest` of a task, which no router looks at.
fn unrouted<A>(_: &A) -> RouteRequest<'_> {
    RouteRequest::opaque("")
}

fn current_runtime(name: &str) -> Arc<RuntimeContext> {
    Scope::current(|scope| scope.and_then(Scope::runtime)).unwrap_or_else(|| {
        let Ok(tokio) = Handle::try_current() else {
            panic!(
                "`{name}::remote` was called outside of a tokio runtime; call it from async code, \
                 or enter a runtime first"
            );
        };
        outside_runtime(tokio)
    })
}

/// The runtime of a task that is started outside of any replica. The request ids of all such
/// tasks come from one sequence, so that they differ.
fn outside_runtime(tokio: Handle) -> Arc<RuntimeContext> {
    static IDS: OnceLock<Arc<RequestIds>> = OnceLock::new();
    let ids = IDS.get_or_init(|| RuntimeContext::new(tokio.clone(), rand::random()).ids);
    Arc::new(RuntimeContext { ids: Arc::clone(ids), ..RuntimeContext::new(tokio, 0) })
}
