//! `#[task]`: a stateless function that is called like a deployment's method.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;

use crate::call::context::{Request, RequestDetails};
use crate::call::deadline::Deadline;
use crate::call::pending::{Callee, PendingCall, Place, Ticket};
use crate::call::spawner::Spawner;
use crate::call::{ArgTuple, CallError, Response};
use crate::replica::{Scope, Within};

/// A function marked `#[task]`. `remote` on the type of its name calls it.
pub trait Task: 'static {
    /// Its parameters.
    type Args: Send + 'static;
    /// What it returns.
    type Ok: Send + 'static;
    /// Its error; [`Infallible`](std::convert::Infallible) if it has none.
    type Err: fmt::Display + fmt::Debug + Send + 'static;
    /// Its name.
    const NAME: &'static str;
    /// Runs it.
    fn run(args: Self::Args)
    -> impl Future<Output = Result<Self::Ok, CallError<Self::Err>>> + Send;
}

/// What stands behind a task's calls.
struct TaskCallee {
    name: &'static str,
    spawner: Arc<Spawner>,
}

impl Callee for TaskCallee {
    fn name(&self) -> &str {
        self.name
    }

    fn spawner(&self) -> &Arc<Spawner> {
        &self.spawner
    }

    fn leave(&self, _: Ticket) {}

    fn leave_again(&self, _: tokio::task::Id) {}
}

/// Starts a task on the runtime of the current call, or else on the current tokio runtime.
///
/// # Panics
/// Outside of both.
#[doc(hidden)]
pub fn start_task<T: Task>(args: impl ArgTuple<Values = T::Args>) -> Response<T::Ok, T::Err> {
    let (spawner, request, deadline) = surroundings(T::NAME);
    let pending = PendingCall {
        callee: Arc::new(TaskCallee { name: T::NAME, spawner: Arc::clone(&spawner) }),
        method: "",
        request: request.clone(),
        deadline: deadline.clone(),
        place: Place::Started,
    };
    let args = args.split();
    let inherited = deadline.clone();
    let tokio = spawner.tokio.clone();
    let task = tokio.spawn(Within::new(deadline, async move {
        let args = match args {
            Ok(args) => args,
            Err(args) => {
                args.await.map_err(|error| CallError::Upstream(error.for_task(T::NAME)))?
            }
        };
        Scope::task(request, inherited, spawner).around(T::run(args)).await
    }));
    Response::running(pending, task)
}

fn surroundings(name: &str) -> (Arc<Spawner>, Request, Option<Arc<Deadline>>) {
    Scope::current(|scope| {
        let spawner = scope.and_then(Scope::spawner).unwrap_or_else(|| {
            let Ok(tokio) = Handle::try_current() else {
                panic!(
                    "`{name}::remote` was called outside of a tokio runtime; call it from async \
                     code, or enter a runtime first"
                );
            };
            outside_spawner(tokio)
        });
        match scope {
            Some(scope) => {
                let deadline = Deadline::for_call(None, scope.deadline());
                (spawner, scope.request().clone(), deadline)
            }
            None => {
                let id = Some(spawner.ids.next());
                let request = Request::with_details(RequestDetails { id, ..Default::default() });
                (spawner, request, None)
            }
        }
    })
}

/// For tasks outside of any replica. The ids come from one sequence, so that they differ.
fn outside_spawner(tokio: Handle) -> Arc<Spawner> {
    static IDS: OnceLock<Arc<crate::call::spawner::RequestIds>> = OnceLock::new();
    let ids = IDS.get_or_init(|| Spawner::new(tokio.clone(), rand::random()).ids);
    Arc::new(Spawner { tokio, ids: Arc::clone(ids), clock_waits: false })
}
