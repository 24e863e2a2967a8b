//! `HttpClient`: HTTP without a socket, for tests. Requests go straight to the HTTP service, and
//! responses arrive as they would be sent.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::ingress::client_socket::WebSocketRequest;
use crate::ingress::server::service::HttpService;

/// Sends HTTP requests to a runtime, without a socket. Cheap to clone.
///
/// ```
/// use serve_core::prelude::*;
///
/// #[deployment]
/// struct Greeter;
///
/// #[handle]
/// impl Greeter {
///     pub fn new() -> Self { Self }
///     #[post("/")]
///     pub async fn greet(&self, name: String) -> String { format!("Hola {name}") }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> serve_core::Result<()> {
/// let runtime = MockRuntime::builder().start();
/// let _greeter = runtime.run(Greeter::bind()).await?;
/// let response = runtime.http().post("/").json(&serde_json::json!({"name": "Dora"})).await?;
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.text().await?, "Hola Dora");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HttpClient {
    service: Arc<HttpService>,
}

impl HttpClient {
    pub(crate) fn new(service: Arc<HttpService>) -> Self {
        Self { service }
    }

    /// Creates a `GET` request.
    pub fn get(&self, path: impl Into<String>) -> HttpRequest {
        self.request(Method::GET, path)
    }

    /// Creates a `POST` request.
    pub fn post(&self, path: impl Into<String>) -> HttpRequest {
        self.request(Method::POST, path)
    }

    /// Creates a `PUT` request.
    pub fn put(&self, path: impl Into<String>) -> HttpRequest {
        self.request(Method::PUT, path)
    }

    /// Creates a `PATCH` request.
    pub fn patch(&self, path: impl Into<String>) -> HttpRequest {
        self.request(Method::PATCH, path)
    }

    /// Creates a `DELETE` request.
    pub fn delete(&self, path: impl Into<String>) -> HttpRequest {
        self.request(Method::DELETE, path)
    }

    /// Creates a WebSocket, which `.await` opens. `path` may have a query.
    pub fn websocket(&self, path: impl Into<String>) -> WebSocketRequest {
        WebSocketRequest::new(Arc::clone(&self.service), path.into())
    }

    /// Creates a request of any method, given as a `Method` or as text. `path` may have a query.
    pub fn request(
        &self,
        method: impl TryInto<Method, Error: fmt::Display>,
        path: impl Into<String>,
    ) -> HttpRequest {
        let method =
            method.try_into().map_err(|error| Error::msg(format!("the HTTP method: {error}")));
        let service = Arc::clone(&self.service);
        let path = path.into();
        HttpRequest { service, method, path, headers: Ok(HeaderMap::new()), body: Ok(Bytes::new()) }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

/// A request that has not been sent. `.await` or [`HttpRequest::send`] sends it. Dropping the
/// future then has the same effect as a client that disconnects.
#[must_use = "a request does nothing until it is sent: `.await` it"]
pub struct HttpRequest {
    service: Arc<HttpService>,
    method: Result<Method>,
    path: String,
    headers: Result<HeaderMap>,
    body: Result<Bytes>,
}

impl HttpRequest {
    /// Adds a header.
    pub fn header(
        mut self,
        name: impl TryInto<HeaderName, Error: fmt::Display>,
        value: impl TryInto<HeaderValue, Error: fmt::Display>,
    ) -> Self {
        self.headers = self.headers.and_then(|mut headers| {
            let name =
                name.try_into().map_err(|error| Error::msg(format!("a header's name: {error}")))?;
            let value = value.try_into().map_err(|error| {
                Error::msg(format!("the value of the header `{name}`: {error}"))
            })?;
            headers.append(name, value);
            Ok(headers)
        });
        self
    }

    /// Sends a value as JSON, with its content type.
    pub fn json(mut self, value: impl Serialize) -> Self {
        self.body = serde_json::to_vec(&value).map(Bytes::from).map_err(Error::from);
        if let Ok(headers) = &mut self.headers {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        self
    }

    /// Sends bytes or text, without a content type.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Ok(body.into());
        self
    }

    /// Adds keys and values to the query, encoded.
    pub fn query<K: AsRef<str>, V: fmt::Display>(mut self, pairs: &[(K, V)]) -> Self {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (key, value) in pairs {
            query.append_pair(key.as_ref(), &value.to_string());
        }
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(&query.finish());
        self
    }

    /// Sends the request.
    ///
    /// # Errors
    /// Returns an error if the request cannot be built: a path, a method, a header or a body that
    /// makes no sense. A response of the server is never an error, whatever its status.
    pub async fn send(self) -> Result<HttpResponse> {
        let mut request = http::Request::new(Body::from(self.body?));
        *request.method_mut() = self.method?;
        *request.headers_mut() = self.headers?;
        *request.uri_mut() = self
            .path
            .parse()
            .map_err(|error| Error::msg(format!("the path {:?}: {error}", self.path)))?;
        Ok(HttpResponse { response: self.service.respond(request).await })
    }
}

impl IntoFuture for HttpRequest {
    type Output = Result<HttpResponse>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// The response to a request. The body may still be arriving. Dropping the response has the same
/// effect as a client that disconnects.
pub struct HttpResponse {
    response: Response<Body>,
}

impl HttpResponse {
    /// Returns the status. It compares with numbers: `assert_eq!(response.status(), 200)`.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Returns the headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Returns the first value of a header, if the header is present and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Returns the whole body.
    ///
    /// # Errors
    /// Returns an error if the body breaks off.
    pub async fn bytes(self) -> Result<Bytes> {
        let body = self.response.into_body();
        axum::body::to_bytes(body, usize::MAX).await.map_err(broke_off)
    }

    /// Returns the whole body as text.
    ///
    /// # Errors
    /// Returns an error if the body breaks off, or is not UTF-8.
    pub async fn text(self) -> Result<String> {
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into())
            .map_err(|error| Error::from(error).context("the body is not a string"))
    }

    /// Returns the whole body, read from JSON.
    ///
    /// # Errors
    /// Returns an error if the body breaks off, or is not the JSON of a `T`. In the latter case,
    /// the error shows the body.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        let text = self.text().await?;
        serde_json::from_str(&text).map_err(|error| {
            Error::from(error).context(format!("the body {text:?} is not as expected"))
        })
    }

    /// Returns the chunks of the body as they arrive. A body that breaks off ends with an error.
    pub fn chunks(self) -> impl Stream<Item = Result<Bytes>> + Send + Unpin {
        use futures::StreamExt;
        self.response.into_body().into_data_stream().map(|chunk| chunk.map_err(broke_off))
    }
}

fn broke_off(error: axum::Error) -> Error {
    Error::from(error).context("the body ended early")
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.status())
            .field("headers", self.headers())
            .finish_non_exhaustive()
    }
}
