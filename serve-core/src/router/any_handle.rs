//! [`AnyHandle`]: a handle whose methods are called by name, for command lines and the
//! like.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use serde_json::Value;
use thiserror::Error;

use super::router::{Router, Wanted};
use crate::call::CallError;
use crate::call::pending::{Callee, task_failure};
use crate::call::text::{TextError, TextSource};
use crate::deployment::Link;
use crate::replica::{AnyMethod, AnyValue, Call, Kind, MethodInfo, Reply, Scope};

/// A handle of a deployment whose type is not known. Keeps its application alive.
#[derive(Clone)]
pub struct AnyHandle {
    router: Arc<Router>,
    kind: Arc<dyn Kind>,
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
        Self { router, kind, _lease: lease }
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
    /// value, or many for a streaming method. Dropping the stream cancels the call.
    ///
    /// # Errors
    /// If there is no such method, or the arguments do not fit.
    pub fn call(
        &self,
        method: &str,
        arguments: &BTreeMap<String, Vec<String>>,
    ) -> Result<BoxStream<'static, Result<Value, CallError<String>>>, ByNameError> {
        let methods = self.kind.methods();
        let Some(method) = methods.iter().find(|known| known.info().name == method).copied() else {
            return Err(ByNameError::UnknownMethod {
                deployment: self.deployment_name().to_owned(),
                method: method.to_owned(),
                known: methods.iter().map(|method| method.info().name).collect(),
            });
        };
        let info = method.info();
        if let Some(unknown) =
            arguments.keys().find(|name| !info.param_names.contains(&name.as_str()))
        {
            return Err(ByNameError::UnknownParameter {
                method: info.name,
                parameter: unknown.clone(),
                known: info.param_names.to_vec(),
            });
        }
        let args = method.read_args(&mut TextSource::new(info.param_names, arguments))?;
        let reply = serve_by_name(Arc::clone(&self.router), method, args);
        Ok(stream::once(reply).flatten().boxed())
    }
}

async fn serve_by_name(
    router: Arc<Router>,
    method: &'static dyn AnyMethod,
    arguments: AnyValue,
) -> BoxStream<'static, Result<Value, CallError<String>>> {
    let request = router.new_request();
    let info = method.info();
    let args = method.args_by_place(&arguments);
    let wanted = Wanted { method: info.name, names: info.param_names, args };
    let slot = match router.admit(&request, wanted) {
        Ok(place) => place.slot().await,
        Err(error) => Err(error),
    };
    let slot = match slot {
        Ok(slot) => slot,
        Err(error) => return stream::once(async { Err(error.widen()) }).boxed(),
    };
    let replica = Arc::clone(slot.replica());
    let tokio = &router.spawner().tokio;
    let (sender, mut items) = tokio::sync::mpsc::channel(1);
    // In a task of its own, like every call, so that a panic fails the call alone.
    let task = tokio.spawn(Scope::serving(request, None, slot).around(async move {
        match replica.target.call(Call { method, arguments }) {
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
        Ok(())
    }));
    let mut task = Some(AbortOnDrop(task));
    stream::poll_fn(move |cx| {
        if let Some(item) = futures::ready!(items.poll_recv(cx)) {
            return std::task::Poll::Ready(Some(item));
        }
        let Some(running) = &mut task else { return std::task::Poll::Ready(None) };
        let ended = futures::ready!(std::pin::Pin::new(&mut running.0).poll(cx));
        task = None;
        let ended = ended.unwrap_or_else(|error| Err(task_failure(error)));
        std::task::Poll::Ready(ended.err().map(|error| Err(error.widen())))
    })
    .boxed()
}

struct AbortOnDrop(tokio::task::JoinHandle<Result<(), CallError>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
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
