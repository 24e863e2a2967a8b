//! [`Reply`]: a value with the status and the headers of its HTTP response.

use std::fmt;
use std::time::Duration;

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// The result of an endpoint with a status, headers and cookies of its own.
///
/// For the caller of a handle, a `Reply` is a value like any other. Over HTTP, its value is sent as if
/// the method had returned the value alone, with the status and the headers. A header or a status that
/// is invalid is answered with 500, and the log names it.
///
/// ```
/// use serve_core::http::{Cookie, Reply};
/// use serve_core::prelude::*;
///
/// #[deployment]
/// #[derive(Default)]
/// struct Shelf;
///
/// #[handle]
/// impl Shelf {
///     #[post("/papers")]
///     pub async fn add(&self, title: String) -> Reply<u32> {
///         Reply::new(7)
///             .status(201)
///             .header("location", "/papers/7")
///             .cookie(Cookie::new("last", title))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> serve_core::Result<()> {
/// let runtime = MockRuntime::builder().start();
/// let shelf = runtime.run(Shelf::bind()).await?;
/// assert_eq!(shelf.add("Attention").await?.into_value(), 7);
///
/// let added = runtime.http().post("/papers").json(serde_json::json!({"title": "Attention"})).await?;
/// assert_eq!((added.status().as_u16(), added.header("location")), (201, Some("/papers/7")));
/// assert_eq!(added.json::<u32>().await?, 7);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply<T> {
    value: T,
    status: Option<u16>,
    headers: Vec<(String, String)>,
}

impl<T> Reply<T> {
    /// Creates a reply with the status of the endpoint, 200 unless its attribute says otherwise.
    pub const fn new(value: T) -> Self {
        Self { value, status: None, headers: Vec::new() }
    }

    /// Sets the status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds a header. The content type replaces that of the value; any other header may be added
    /// several times.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.headers.push((name.into(), value.to_string()));
        self
    }

    /// Adds a cookie.
    #[must_use]
    pub fn cookie(self, cookie: Cookie) -> Self {
        self.header(SET_COOKIE.as_str(), cookie)
    }

    /// Returns the value.
    #[must_use]
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Returns the value.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }

    /// Returns the value, and the status and the headers as HTTP sends them.
    pub(crate) fn into_parts(self) -> Result<(T, Option<StatusCode>, HeaderMap), Unsendable> {
        let status = match self.status {
            None => None,
            Some(number) => {
                let status = StatusCode::from_u16(number).ok();
                // An informational status cannot be a final response.
                let status = status.filter(|status| !status.is_informational());
                Some(status.ok_or(Unsendable::Status(number))?)
            }
        };
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in self.headers {
            let Ok(known) = HeaderName::try_from(&name) else {
                return Err(Unsendable::Header(name));
            };
            let Ok(value) = HeaderValue::try_from(value) else {
                return Err(Unsendable::Header(name));
            };
            headers.append(known, value);
        }
        Ok((self.value, status, headers))
    }
}

impl<T> From<T> for Reply<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: JsonSchema> JsonSchema for Reply<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    /// Returns the schema of the value, which is what HTTP sends.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// The reason why a result cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum Unsendable {
    /// The value cannot be JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The status is not that of a final response.
    #[error("the status {0} of the `Reply` is not between 200 and 999")]
    Status(u16),
    /// The name of the header is invalid, or its value.
    #[error("the header {0:?} of the `Reply` has an invalid name or value")]
    Header(String),
    /// The id or the name of an event has a line break.
    #[error("{0:?}, the id or the name of an `Event`, has a line break or a NUL")]
    Event(String),
}

/// A cookie that a response sets: `Path=/`, `HttpOnly` and `SameSite=Lax`, unless changed.
///
/// ```
/// use std::time::Duration;
///
/// use serve_core::http::Cookie;
///
/// let cookie = Cookie::new("session", "a b").secure().max_age(Duration::from_secs(3600));
/// assert_eq!(
///     cookie.to_string(),
///     "session=a%20b; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a cookie does nothing until a `Reply` has it"]
pub struct Cookie {
    name: String,
    value: String,
    path: String,
    domain: Option<String>,
    max_age: Option<Duration>,
    http_only: bool,
    same_site: &'static str,
    secure: bool,
}

/// The characters that the value of a cookie may not have (RFC 6265, section 4.1.1), and `%`.
const NOT_IN_VALUE: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b',').add(b';').add(b'\\').add(b'%');

impl Cookie {
    /// Creates a cookie. Characters that a cookie may not have are percent-encoded, as a parameter of
    /// an endpoint decodes them.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            path: "/".to_owned(),
            domain: None,
            max_age: None,
            http_only: true,
            same_site: "Lax",
            secure: false,
        }
    }

    /// Creates a cookie that removes the cookie of this name.
    pub fn removal(name: impl Into<String>) -> Self {
        Self::new(name, "").max_age(Duration::ZERO)
    }

    /// Sets the path below which the cookie is sent.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Sets the domain whose hosts receive the cookie. Without one, only the host itself does.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Sets the time for which the cookie is kept, in whole seconds. Without one, the browser keeps the
    /// cookie until it is closed.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Sends the cookie over HTTPS only.
    pub fn secure(mut self) -> Self {
        self.secure = true;
        self
    }

    /// Lets scripts of the page read the cookie.
    pub fn readable_by_scripts(mut self) -> Self {
        self.http_only = false;
        self
    }

    /// Sends the cookie with requests of the same site only, not even when a link leads here.
    pub fn same_site_strict(mut self) -> Self {
        self.same_site = "Strict";
        self
    }

    /// Sends the cookie with requests of pages of other sites too. Browsers require that the cookie is
    /// [`secure`](Self::secure), and it becomes so.
    pub fn same_site_none(mut self) -> Self {
        self.same_site = "None";
        self.secure()
    }
}

impl fmt::Display for Cookie {
    /// Writes the value of the header `Set-Cookie`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, path, same_site, .. } = self;
        let value = utf8_percent_encode(&self.value, NOT_IN_VALUE);
        write!(f, "{name}={value}; Path={path}")?;
        if let Some(domain) = &self.domain {
            write!(f, "; Domain={domain}")?;
        }
        if let Some(max_age) = self.max_age {
            write!(f, "; Max-Age={}", max_age.as_secs())?;
        }
        if self.http_only {
            f.write_str("; HttpOnly")?;
        }
        write!(f, "; SameSite={same_site}")?;
        if self.secure {
            f.write_str("; Secure")?;
        }
        Ok(())
    }
}
