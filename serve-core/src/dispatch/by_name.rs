//! [`AnyHandle`]: a handle whose methods are called by name, for example from a command
//! line.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::stream::{self, BoxStream};
use futures::{FutureExt, Stream, StreamExt};
use parking_lot::Mutex;
use serde_json::Value;
use thiserror::Error;

use super::handle::Client;
use super::retry::{self, Retry};
use super::served::TargetFuture;
use super::start::start;
use super::typed_call::{spawn, yields};
use crate::call::stream::STREAM_CAPACITY;
use crate::call::wire::text::{TextError, TextSource};
use crate::call::{CallError, CallOptions, Response};
use crate::deployment::Link;
use crate::method::{AnyItems, AnyMethod, AnyValue, MethodInfo};
use crate::replica::{AnyDeployment, Scope};
use crate::router::{Called, RouteRequest};

/// A handle of a deployment whose type is not known at compile time. Keeps the deployment's
/// application alive.
#[derive(Clone)]
pub struct AnyHandle {
    client: Client,
    deployment_type: Arc<dyn AnyDeployment>,
}

/// The error of a call by name that was not made: the method or an argument does not fit.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ByNameError {
    /// The deployment has no such method.
    #[error("`{deployment}` has no method `{method}`; it has {}", list(.known))]
    UnknownMethod {
        /// The deployment.
        deployment: String,
        /// The method that was asked for.
        method: String,
        /// The methods that the deployment has.
        known: Vec<&'static str>,
    },
    /// The method has no such parameter.
    #[error("`{method}` has no parameter `{parameter}`; it has {}", list(.known))]
    UnknownParameter {
        /// The method.
        method: &'static str,
        /// The parameter that was given.
        parameter: String,
        /// The parameters that the method has.
        known: Vec<&'static str>,
    },
    /// An argument is missing, or cannot be read as the type of its parameter.
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
    pub(crate) fn new(
        link: Link,
        deployment_type: Arc<dyn AnyDeployment>,
        lease: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        Self { client: Client::connect(link, Some(lease)), deployment_type }
    }

    /// A handle of the same deployment with other call options. An option that `options` does
    /// not set keeps its value.
    #[must_use]
    pub fn options(&self, options: CallOptions) -> Self {
        let mut handle = self.clone();
        handle.client.set_options(options);
        handle
    }

    /// The deployment's name.
    #[must_use]
    pub fn deployment_name(&self) -> &str {
        self.client.router().name()
    }

    /// The methods that can be called.
    #[must_use]
    pub fn methods(&self) -> Vec<MethodInfo> {
        self.deployment_type.methods().iter().map(|method| method.info()).collect()
    }

    /// Calls a method with arguments that are read from text, each as the type of its
    /// parameter. The stream has one value, or the items of a streaming method.
    ///
    /// The call is like that of a typed handle: it belongs to the request that the running
    /// code serves and keeps that code's deadline; its place is decided before this method
    /// returns; and the deployment's `request_timeout` holds, unless the handle's options set
    /// another. Dropping the stream cancels the call.
    ///
    /// # Errors
    /// If there is no such method, or the arguments do not fit its parameters.
    pub fn call(
        &self,
        method: &str,
        arguments: &BTreeMap<String, Vec<String>>,
    ) -> Result<BoxStream<'static, Result<Value, CallError<String>>>, ByNameError> {
        let (method, args) =
            read_call(&*self.deployment_type, self.deployment_name(), method, arguments)?;
        Ok(call_by_name(&self.client, method, args, |method, value| method.show_ok(value)))
    }

    /// Calls a method like [`call`](Self::call), and returns each value as JSON text. A number has
    /// the digits that an HTTP endpoint would write, also an `f32` and a 128-bit integer, which a
    /// [`Value`] cannot hold.
    ///
    /// # Errors
    /// If there is no such method, or the arguments do not fit its parameters.
    pub fn call_to_json(
        &self,
        method: &str,
        arguments: &BTreeMap<String, Vec<String>>,
    ) -> Result<BoxStream<'static, Result<String, CallError<String>>>, ByNameError> {
        let (method, args) =
            read_call(&*self.deployment_type, self.deployment_name(), method, arguments)?;
        Ok(call_by_name(&self.client, method, args, |method, value| method.json_ok(value)))
    }
}

/// Writes a result without its type.
type Show<T> = fn(&dyn AnyMethod, &AnyValue) -> Result<T, CallError>;

/// Finds a method by its name, and reads its arguments from text.
pub(crate) fn read_call(
    deployment_type: &dyn AnyDeployment,
    deployment: &str,
    method: &str,
    arguments: &BTreeMap<String, Vec<String>>,
) -> Result<(&'static dyn AnyMethod, AnyValue), ByNameError> {
    let methods = deployment_type.methods();
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

/// Starts a call without its types. The counterpart of `typed_call::call` and `typed_call::stream`.
fn call_by_name<T: Send + 'static>(
    client: &Client,
    method: &'static dyn AnyMethod,
    args: AnyValue,
    show: Show<T>,
) -> BoxStream<'static, Result<T, CallError<String>>> {
    let (router, info, head) = (client.router(), method.info(), client.head());
    let (sink, items) = if info.streaming {
        let (sink, items) = method.channel(STREAM_CAPACITY, yields(router, &head));
        (Some(sink), Some(items))
    } else {
        (None, None)
    };
    // A call that is given back begins again, and needs its sink again.
    let sink = Arc::new(Mutex::new(sink));
    let begin = move |scope: &mut Option<Scope>, args| {
        let sink = sink.lock().as_ref().map(|sink| method.clone_sink(sink));
        TargetFuture::new(scope, method, args, sink)
    };
    let (max, in_order) = (method.retries(), method.is_batched());
    let response: Response<AnyValue, AnyValue> = if max > 0 {
        let copy = move |args: &AnyValue| method.copy_args(args);
        let retry = Retry { method: info.name, index: method.index(), max, in_order, copy };
        retry::call(router, retry, head, Ok(args), wanted(method), begin)
    } else {
        let called = Called::spawned(method.index());
        let (pending, task) =
            start(router, info.name, called, head, Ok(args), wanted(method), |acquire, head, _| {
                spawn(router, in_order, acquire, head, begin)
            });
        Response::started(pending, task)
    };
    let Some(items) = items else {
        return stream::once(async move { shown(method, response.await, show) }).boxed();
    };
    Items { method, show, items, response: Some(response), end: None }.boxed()
}

/// The items of a streaming call, and then its error. Dropping the stream cancels the call, because
/// the stream holds the response.
struct Items<T> {
    method: &'static dyn AnyMethod,
    show: Show<T>,
    items: AnyItems,
    /// The call, until it has ended.
    response: Option<Response<AnyValue, AnyValue>>,
    /// The error with which the call has ended. The items before it come first.
    end: Option<CallError<AnyValue>>,
}

impl<T> Stream for Items<T> {
    type Item = Result<T, CallError<String>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        match this.items.poll_next_unpin(cx) {
            Poll::Ready(Some(item)) => {
                return Poll::Ready(Some(shown(this.method, item, this.show)));
            }
            Poll::Ready(None) => {
                this.items = stream::empty().boxed();
                if let Some(response) = &mut this.response {
                    let ended = ready!(response.poll_unpin(cx));
                    (this.response, this.end) = (None, ended.err());
                }
            }
            // The call may have ended, although its method still computes.
            Poll::Pending => {
                if let Some(response) = &mut this.response
                    && let Poll::Ready(ended) = response.poll_unpin(cx)
                {
                    (this.response, this.end) = (None, ended.err());
                    if this.end.is_some() {
                        // Items that came since then are taken, and no others are waited for.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                if this.end.is_none() {
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(this.end.take().map(|error| {
            this.items = stream::empty().boxed();
            shown(this.method, Err(error), this.show)
        }))
    }
}

/// Makes the part of a call that routing may look at, for calls of `method`.
fn wanted(
    method: &'static dyn AnyMethod,
) -> impl for<'a> Fn(&'a AnyValue) -> RouteRequest<'a> + Send + 'static {
    let info = method.info();
    move |args| RouteRequest {
        method: info.name,
        names: info.param_names,
        args: method.args_by_place(args),
    }
}

fn shown<T>(
    method: &dyn AnyMethod,
    result: Result<AnyValue, CallError<AnyValue>>,
    show: Show<T>,
) -> Result<T, CallError<String>> {
    match result {
        Ok(value) => show(method, &value).map_err(CallError::widen),
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
