//! `Endpoint`: a method of a running deployment that is called over HTTP.

use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use futures::future::BoxFuture;
use http::{Response, StatusCode};
use serde::Serialize;

use crate::application::HttpSettings;
use crate::call::argument::Here;
use crate::call::{Arguments, CallError};
use crate::deployment::{Anywhere, Link};
use crate::dispatch::{Handle, call, stream};
use crate::ingress::endpoint_info::{EndpointInfo, EndpointSpec};
use crate::ingress::request::incoming::Incoming;
use crate::ingress::request::parameters::{BodyContent, BodyUse, Input, read_body};
use crate::ingress::response::error_format::ErrorFormat;
use crate::ingress::response::http_error::HttpError;
use crate::ingress::response::into_response::{EndpointResult, OwnStatus, set_status};
use crate::ingress::response::streaming;
use crate::method::{Many, Method, One, Streaming, Unary};
use crate::replica::Scope;

/// Answers the requests of one path and HTTP method.
pub(crate) trait Endpoint: Send + Sync {
    /// Answers one request. Dropping the future, or the body of the response, cancels the calls
    /// that the request led to.
    fn serve(self: Arc<Self>, incoming: Incoming, body: Body)
    -> BoxFuture<'static, Response<Body>>;
}

/// The endpoint of the method `M` of a running deployment.
pub(crate) struct TypedEndpoint<M: Method, S> {
    info: Arc<EndpointInfo>,
    body_use: BodyUse,
    status: fn(&M::Err) -> Option<u16>,
    result: EndpointResult<M::Ok>,
    error_format: ErrorFormat,
    handle: Handle<M::Deployment>,
    settings: Arc<HttpSettings>,
    shape: PhantomData<fn() -> S>,
}

impl<M: Method, S> TypedEndpoint<M, S>
where
    M::Args: Arguments<Anywhere>,
{
    pub(crate) fn new(
        info: Arc<EndpointInfo>,
        spec: &EndpointSpec<M>,
        link: Link,
        settings: Arc<HttpSettings>,
    ) -> Self {
        Self {
            body_use: BodyUse::of(&info),
            info,
            status: spec.status,
            result: spec.result,
            error_format: ErrorFormat::of(&settings),
            handle: Handle::connect(link),
            settings,
            shape: PhantomData,
        }
    }

    /// Returns the arguments of the request, or an error response if the request does not fit them.
    async fn arguments(&self, incoming: &Incoming, body: Body) -> Result<M::Args, Response<Body>> {
        let body = self.body(incoming, body).await?;
        let input = Input {
            info: &self.info,
            body_use: self.body_use,
            head: &incoming.head,
            path: &incoming.path,
            body: &body,
        };
        input.arguments().map_err(HttpError::into_response)
    }

    async fn body(&self, incoming: &Incoming, body: Body) -> Result<BodyContent, Response<Body>> {
        let reading = read_body(&self.info, self.body_use, &incoming.head, body, &self.settings);
        // The call keeps the deadline itself; here it applies to a body that does not arrive.
        let read = match incoming.deadline.as_ref().and_then(|deadline| deadline.at()) {
            None => reading.await,
            Some(at) => tokio::time::timeout_at(at, reading).await.map_err(|_| {
                let late: CallError<String> = CallError::DeadlineExceeded;
                HttpError::of_call(&late, M::INFO.name, &incoming.id).into_response()
            })?,
        };
        read.map_err(HttpError::into_response)
    }

    /// Makes a call as part of the request and polls the call at once, so that a method which
    /// ends at its first poll runs on the connection's own task.
    async fn answered(
        &self,
        incoming: &Incoming,
        arguments: M::Args,
    ) -> Result<M::Ok, CallError<M::Err>>
    where
        M: Unary,
    {
        let mut arguments = Some(arguments);
        let first = poll_fn(|cx| {
            let arguments = arguments.take().expect("ready at the first poll");
            let scope = Scope::outside(incoming.request.clone(), incoming.deadline.clone());
            let waker = cx.waker();
            Poll::Ready(scope.poll_within(waker, || {
                let mut response = call::<M>(&self.handle, Here(arguments));
                match Pin::new(&mut response).poll(&mut Context::from_waker(waker)) {
                    Poll::Ready(result) => Ok(result),
                    Poll::Pending => Err(response),
                }
            }))
        });
        match first.await {
            Ok(result) => result,
            Err(response) => response.await,
        }
    }

    /// Sets the status of the endpoint, unless the response has one of its own.
    fn succeeded(&self, mut response: Response<Body>) -> Response<Body> {
        let success = self.info.success;
        if success != StatusCode::OK && response.status() == StatusCode::OK {
            let own = response.extensions_mut().remove::<OwnStatus>().is_some();
            if !own {
                set_status(&mut response, success);
            }
        }
        response
    }

    /// Makes a call as part of the request.
    fn within<R>(incoming: &Incoming, call: impl FnOnce() -> R) -> R {
        Scope::outside(incoming.request.clone(), incoming.deadline.clone()).enter(call)
    }
}

impl<M: Unary> Endpoint for TypedEndpoint<M, One>
where
    M::Args: Arguments<Anywhere>,
    M::Ok: Serialize,
{
    fn serve(
        self: Arc<Self>,
        incoming: Incoming,
        body: Body,
    ) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            let arguments = match self.arguments(&incoming, body).await {
                Ok(arguments) => arguments,
                Err(response) => return response,
            };
            let failure = match self.answered(&incoming, arguments).await {
                Ok(value) => match (self.result.answer)(value) {
                    Ok(response) => return self.succeeded(response),
                    Err(error) => {
                        let error: CallError<M::Err> = CallError::Codec(error.to_string());
                        HttpError::of_method::<M>(error, self.status, &incoming.id)
                    }
                },
                Err(error) => HttpError::of_method::<M>(error, self.status, &incoming.id),
            };
            failure.into_response()
        })
    }
}

impl<M: Streaming> Endpoint for TypedEndpoint<M, Many>
where
    M::Args: Arguments<Anywhere>,
    M::Ok: Serialize,
{
    fn serve(
        self: Arc<Self>,
        incoming: Incoming,
        body: Body,
    ) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            let arguments = match self.arguments(&incoming, body).await {
                Ok(arguments) => arguments,
                Err(response) => return response,
            };
            let items = Self::within(&incoming, || stream::<M>(&self.handle, Here(arguments)));
            let (headers, id) = (&incoming.head.headers, &incoming.id);
            let (settings, format) = (&self.settings, self.error_format);
            let (result, status) = (self.result, self.status);
            let response =
                streaming::respond::<M>(items, result, status, headers, id, settings, format).await;
            self.succeeded(response)
        })
    }
}
