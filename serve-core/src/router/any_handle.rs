//! [`AnyHandle`]: a handle whose methods are called by name, for command lines and the
//! like.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::task::{Poll, ready};

use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use serde_json::Value;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::router::Router;
use super::way::{Wanted, Way};
use crate::call::context::RequestDetails;
use crate::call::deadline::Deadline;
use crate::call::pending::{Callee, PendingCall, Place};
use crate::call::text::{TextError, TextSource};
use crate::call::{CallError, CallOptions, Response};
use crate::clock;
use crate::deployment::Link;
use crate::replica::{AnyMethod, AnyValue, Call, Kind, MethodInfo, Replica, Reply, Serving};

/// A handle of a deployment whose type is not known. Keeps its application alive.
#[derive(Clone)]
pub struct AnyHandle {
    router: Arc<Router>,
    kind: Arc<dyn Kind>,
    options: CallOptions,
    _lease: Arc<dyn Any + Send + Sync>,
}

/// A method of the deployment cannot be called like this. Nothing was called.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ByNameError {
    /// It has no such method.
    #[error("`{deployment}` has no method `{method}`; it has {}", list(.known))]
    UnknownMethod {
        /// The deployment.
        deployment: String,
        /// The method that was asked for.
        method: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// It has no such parameter.
    #[error("`{method}` has no parameter `{parameter}`; it has {}", list(.known))]
    UnknownParameter {
        /// The method.
        method: &'static str,
        /// The parameter that was given.
        parameter: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// An argument is missing or not of its type.
    #[error(transparent)]
    Argument(#[from] TextError),
}

fn list(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

impl AnyHandle {
    pub(crate) fn new(link: Link, kind: Arc<dyn Kind>, lease: Arc<dyn Any + Send + Sync>) -> Self {
        let router = link.open::<Router>().expect("a link leads to a router");
        Self { router, kind, options: CallOptions::new(), _lease: lease }
    }

    /// The same handle with other call options. What `options` leaves unset stays as it was.
    #[must_use]
    pub fn options(&self, options: CallOptions) -> Self {
        Self { options: self.options.overridden_by(options), ..self.clone() }
    }

    /// The deployment's name.
    #[must_use]
    pub fn deployment_name(&self) -> &str {
        self.router.name()
    }

    /// The methods that can be called.
    #[must_use]
    pub fn methods(&self) -> Vec<MethodInfo> {
        self.kind.methods().iter().map(|method| method.info()).collect()
    }

    /// Calls a method; its arguments are read from text, each as its type asks. Gives one
    /// value, or many for a streaming method. Its place is decided before this returns, and
    /// the deployment's `request_timeout` holds, unless the handle's options have another.
    /// Dropping the stream cancels the call.
    ///
    /// # Errors
    /// If there is no such method, or the arguments do not fit.
    pub fn call(
        &self,
        method: &str,
        arguments: &BTreeMap<String, Vec<String>>,
    ) -> Result<BoxStream<'static, Result<Value, CallError<String>>>, ByNameError> {
        let (method, args) = read_call(&*self.kind, self.deployment_name(), method, arguments)?;
        Ok(serve_by_name(&self.router, &self.options, method, args))
    }
}

/// Finds the method, and reads its arguments.
pub(crate) fn read_call(
    kind: &dyn Kind,
    deployment: &str,
    method: &str,
    arguments: &BTreeMap<String, Vec<String>>,
) -> Result<(&'static dyn AnyMethod, AnyValue), ByNameError> {
    let methods = kind.methods();
    let Some(method) = methods.iter().find(|known| known.info().name == method).copied() else {
        return Err(ByNameError::UnknownMethod {
            deployment: deployment.to_owned(),
            method: method.to_owned(),
            known: methods.iter().map(|method| method.info().name).collect(),
        });
    };
    let info = method.info();
    if let Some(unknown) = arguments.keys().find(|name| !info.param_names.contains(&name.as_str()))
    {
        return Err(ByNameError::UnknownParameter {
            method: info.name,
            parameter: unknown.clone(),
            known: info.param_names.to_vec(),
        });
    }
    let args = method.read_args(&mut TextSource::new(info.param_names, arguments))?;
    Ok((method, args))
}

fn serve_by_name(
    router: &Arc<Router>,
    options: &CallOptions,
    method: &'static dyn AnyMethod,
    arguments: AnyValue,
) -> BoxStream<'static, Result<Value, CallError<String>>> {
    let request = router.new_request();
    let request = match RequestDetails::said_by(options) {
        Some(details) => request.with_options(&Arc::new(details)),
        None => request,
    };
    let info = method.info();
    let args = method.args_by_place(&arguments);
    let wanted = Wanted { method: info.name, names: info.param_names, args };
    let admission = match router.admit(&request, wanted) {
        Ok(admission) => admission,
        Err(error) => return stream::once(async { Err(error.widen()) }).boxed(),
    };
    let timeout = options.timeout.or_else(|| router.request_timeout());
    let timeout = timeout.and_then(|timeout| clock::after(Instant::now(), timeout));
    let deadline = Deadline::for_call(timeout, None);
    let (sender, mut items) = mpsc::channel(1);
    let begin = move |replica: &Arc<Replica>, arguments| {
        let reply = replica.target.call(Call { method, arguments });
        async move {
            match reply {
                Reply::One(one) => {
                    let _ = sender.send(shown(method, one.await)).await;
                }
                Reply::Many(mut many) => {
                    while let Some(item) = many.next().await {
                        if sender.send(shown(method, item)).await.is_err() {
                            break;
                        }
                    }
                }
            }
            Ok::<(), CallError>(())
        }
    };
    let place = admission.ticket().map_or(Place::Started, Place::Queued);
    let way = Way::from(admission, arguments);
    let serving = Serving::new(way, request.clone(), deadline.clone(), begin);
    let task = router.spawner().tokio.spawn(serving);
    let callee = Arc::clone(router) as Arc<dyn Callee>;
    let pending = PendingCall { callee, method: info.name, request, deadline, place };
    // Cancels the call when the stream is dropped, as for any other caller.
    let mut response = Some(Response::running(pending, task));
    stream::poll_fn(move |cx| {
        if let Some(item) = ready!(items.poll_recv(cx)) {
            return Poll::Ready(Some(item));
        }
        let Some(running) = &mut response else { return Poll::Ready(None) };
        let ended = ready!(running.poll_unpin(cx));
        response = None;
        Poll::Ready(ended.err().map(|error: CallError| Err(error.widen())))
    })
    .boxed()
}

fn shown(
    method: &dyn AnyMethod,
    result: Result<AnyValue, CallError<AnyValue>>,
) -> Result<Value, CallError<String>> {
    match result {
        Ok(value) => method.show_ok(&value).map_err(CallError::widen),
        Err(error) => Err(error.map_app(|error| method.show_err(&error))),
    }
}

impl fmt::Debug for AnyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyHandle")
            .field("deployment", &self.deployment_name())
            .finish_non_exhaustive()
    }
}
