//! `Endpoint`: a method of a running deployment that is called over HTTP.

use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::Response;
use serde::Serialize;

use crate::application::HttpSettings;
use crate::call::argument::Here;
use crate::call::{Arguments, CallError};
use crate::deployment::{Anywhere, Link};
use crate::dispatch::{Handle, call, stream};
use crate::ingress::endpoint_info::EndpointInfo;
use crate::ingress::request::incoming::Incoming;
use crate::ingress::request::parameters::{BodyUse, Input, read_body};
use crate::ingress::response::call_failure::CallFailure;
use crate::ingress::response::into_response::answer;
use crate::ingress::response::rejection::Rejection;
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
        status: fn(&M::Err) -> Option<u16>,
        link: Link,
        settings: Arc<HttpSettings>,
    ) -> Self {
        let body_use = BodyUse::of(&info);
        Self { info, body_use, status, handle: Handle::connect(link), settings, shape: PhantomData }
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
        input.arguments().map_err(Rejection::into_response)
    }

    async fn body(&self, incoming: &Incoming, body: Body) -> Result<Bytes, Response<Body>> {
        let reading = read_body(&self.info, self.body_use, &incoming.head, body, &self.settings);
        // The call keeps the deadline itself; here it applies to a body that does not arrive.
        let read = match incoming.deadline.as_ref().and_then(|deadline| deadline.at()) {
            None => reading.await,
            Some(at) => tokio::time::timeout_at(at, reading).await.map_err(|_| {
                let late: CallError<String> = CallError::DeadlineExceeded;
                CallFailure::of_call(&late, M::INFO.name, &incoming.id).into_response()
            })?,
        };
        read.map_err(Rejection::into_response)
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
                Ok(value) => match answer(value) {
                    Ok(response) => return response,
                    Err(error) => {
                        let error: CallError<M::Err> = CallError::Codec(error.to_string());
                        CallFailure::of::<M>(error, self.status, &incoming.id)
                    }
                },
                Err(error) => CallFailure::of::<M>(error, self.status, &incoming.id),
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
            streaming::respond::<M>(items, self.status, headers, id, &self.settings).await
        })
    }
}
