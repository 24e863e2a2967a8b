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
use crate::call::callees::CalleeRef;
use crate::call::deferred;
use crate::call::pending::{Callee, Outcome, Ticket};
use crate::call::request::{Request, RequestDetails};
use crate::call::spawner::{RequestIds, Spawner};
use crate::call::{ArgTuple, CallError, Response};
use crate::replica::Scope;
use crate::router::{Called, Wanted};

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
    spawner: Arc<Spawner>,
    span: tracing::Span,
}

impl Callee for TaskCallee {
    fn name(&self) -> &str {
        self.name
    }

    fn spawner(&self) -> &Arc<Spawner> {
        &self.spawner
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
    type Seat = Arc<Spawner>;
    type Queued = Ready<Outcome<Arc<Spawner>>>;
    type Undecided<'a> = Infallible;

    fn begin_request(&self, request: &mut Request) {
        if !request.has_begun() {
            let id = Some(self.spawner.ids.next());
            *request = Request::with_details(RequestDetails { id, ..Default::default() });
        }
    }

    fn seat_now(&self, request: &mut Request, _: Called) -> Result<Arc<Spawner>, Infallible> {
        self.begin_request(request);
        Ok(Arc::clone(&self.spawner))
    }

    fn decide(
        self: &Arc<Self>,
        undecided: Infallible,
        _: &Request,
        _: Wanted<'_>,
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
    let (name, spawner) = (T::NAME, current_spawner(T::NAME));
    let callee = Arc::new(TaskCallee { name, spawner, span: tracing::Span::none() });
    let (head, args) = (Head::here(None, None, None), args.split());
    let (pending, task) =
        start(&callee, "", Called::UNCOUNTED, head, args, unrouted, |acquire, head, _| {
            let begin = |_: &mut Option<Scope>, args| Plain::<_, T::Args>::new(T::run(args));
            deferred::call_spawned();
            callee.spawner.tokio.spawn(Serving::new(acquire, head, begin))
        });
    Response::started(pending, task)
}

/// The `Wanted` of a task, which no router looks at.
fn unrouted<A>(_: &A) -> Wanted<'_> {
    Wanted::opaque("")
}

fn current_spawner(name: &str) -> Arc<Spawner> {
    Scope::current(|scope| scope.and_then(Scope::spawner)).unwrap_or_else(|| {
        let Ok(tokio) = Handle::try_current() else {
            panic!(
                "`{name}::remote` was called outside of a tokio runtime; call it from async code, \
                 or enter a runtime first"
            );
        };
        outside_spawner(tokio)
    })
}

/// The spawner of a task that is started outside of any replica. The request ids of all such
/// tasks come from one sequence, so that they differ.
fn outside_spawner(tokio: Handle) -> Arc<Spawner> {
    static IDS: OnceLock<Arc<RequestIds>> = OnceLock::new();
    let ids = IDS.get_or_init(|| Spawner::new(tokio.clone(), rand::random()).ids);
    Arc::new(Spawner { ids: Arc::clone(ids), ..Spawner::new(tokio, 0) })
}
