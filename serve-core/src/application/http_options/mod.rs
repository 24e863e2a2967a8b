//! [`HttpOptions`]: the options of HTTP, and the table that they are defined in.
//!
//! The options are data, so that they can be stored, sent and read from a config file. The `ingress`
//! module acts on them.

mod rate;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

pub use self::rate::{ParseRateError, Rate};
use crate::deployment::setting::Setting;
use crate::deployment::table::{self, optional};
use crate::deployment::{GivenIn, OnUpdate, OptionFault, OptionInfo, ValueKind};

/// The part of HTTP that an option belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// The port: only a runtime has the option.
    Port,
    /// The requests of an application. The value that a runtime has is the default of its
    /// applications.
    Application,
}

/// The type of an option's value, by the kind that the table names.
macro_rules! value {
    (duration) => { Duration };
    (some_duration) => { Duration };
    (size) => { u64 };
    (count) => { usize };
    (some_count) => { usize };
    (flag) => { bool };
    (some_text) => { String };
    (texts) => { Vec<String> };
    (secrets) => { Vec<String> };
    (some_rate) => { Rate };
}

/// The type of an option's value once defaults are filled in, by the kind that the table names.
macro_rules! setting {
    (some_duration) => { Option<Duration> };
    (some_count) => { Option<usize> };
    (some_text) => { Option<String> };
    (some_rate) => { Option<Rate> };
    ($kind:ident) => { value!($kind) };
}

/// The kind of an option's value in the table of options.
macro_rules! kind {
    (duration) => {
        ValueKind::Duration { zero: true }
    };
    (some_duration) => {
        ValueKind::Duration { zero: false }
    };
    (size) => {
        ValueKind::Size
    };
    (count) => {
        ValueKind::Count { min: 0 }
    };
    (some_count) => {
        ValueKind::Count { min: 1 }
    };
    (flag) => {
        ValueKind::Flag
    };
    (some_text) => {
        ValueKind::Text
    };
    (texts) => {
        ValueKind::Texts
    };
    (secrets) => {
        ValueKind::Secrets
    };
    (some_rate) => {
        ValueKind::Rate
    };
}

/// The method of [`HttpOptions`] that sets an option.
macro_rules! setter {
    (texts $name:ident, $($doc:expr),*) => {
        $(#[doc = $doc])*
        pub fn $name(mut self, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
            self.$name = Some(values.into_iter().map(Into::into).collect());
            self
        }
    };
    (secrets $name:ident, $($doc:expr),*) => {
        setter!(texts $name, $($doc),*);
    };
    (some_text $name:ident, $($doc:expr),*) => {
        $(#[doc = $doc])*
        pub fn $name(mut self, value: impl Into<String>) -> Self {
            self.$name = Some(value.into());
            self
        }
    };
    ($kind:ident $name:ident, $($doc:expr),*) => {
        $(#[doc = $doc])*
        pub fn $name(mut self, value: value!($kind)) -> Self {
            self.$name = Some(value);
            self
        }
    };
}

/// A value as `Debug` shows it, by the kind that the table names: secrets are not shown.
macro_rules! shown {
    (secrets $value:expr) => {
        Secrets(&$value)
    };
    ($kind:ident $value:expr) => {
        &$value
    };
}

/// Shows that there are secrets, but not which.
struct Secrets<'a, T>(&'a T);

impl<T: Default + PartialEq> fmt::Debug for Secrets<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self.0 == T::default() { "none" } else { "[..]" })
    }
}

/// Defines the options: the fields and the setters of [`HttpOptions`], the fields of
/// [`HttpSettings`], and the table, from one list.
macro_rules! http_options {
    ($(
        $level:ident $kind:ident $name:ident [$($alias:literal)*] = $default:expr, $shown:literal,
        $doc:literal;
    )*) => {
        /// The options of HTTP, for [`RuntimeBuilder::http_options`](crate::RuntimeBuilder::http_options)
        /// and [`Application::http_options`](crate::Application::http_options).
        ///
        /// Options of the port can be given only to the runtime. All others are options of an
        /// application; if they are given to the runtime, they are the defaults of its
        /// applications. A duration of zero disables what it limits, unless the option says
        /// otherwise.
        ///
        /// ```
        /// use std::time::Duration;
        ///
        /// use serve_core::http::HttpOptions;
        ///
        /// let options = HttpOptions::new()
        ///     .keep_alive_timeout(Duration::from_secs(30))
        ///     .cors_origins(["https://example.org"]);
        /// let same: HttpOptions = serde_json::from_value(serde_json::json!({
        ///     "keep_alive_timeout": "30s",
        ///     "cors": { "origins": ["https://example.org"] },
        /// }))?;
        /// assert_eq!(options, same);
        /// # Ok::<(), serde_json::Error>(())
        /// ```
        #[derive(Clone, Default, PartialEq)]
        #[must_use = "options do nothing until a runtime or an application has them"]
        pub struct HttpOptions {
            $($name: Option<value!($kind)>,)*
        }

        impl fmt::Debug for HttpOptions {
            /// Shows the options that are set, without the API keys.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut options = f.debug_struct("HttpOptions");
                $(if let Some(value) = &self.$name {
                    options.field(stringify!($name), &shown!($kind *value));
                })*
                options.finish()
            }
        }

        impl HttpOptions {
            $(setter!($kind $name, concat!("Sets ", $doc, "."), "", concat!("Default: ", $shown, "."));)*

            /// Returns these options, overridden by the options that `layer` sets.
            pub(crate) fn overridden_by(&self, layer: &Self) -> Self {
                Self { $($name: layer.$name.clone().or_else(|| self.$name.clone()),)* }
            }
        }

        /// The options of HTTP, with their defaults filled in.
        #[derive(Clone, PartialEq)]
        pub(crate) struct HttpSettings {
            $(pub(crate) $name: setting!($kind),)*
        }

        impl fmt::Debug for HttpSettings {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct("HttpSettings")
                    $(.field(stringify!($name), &shown!($kind self.$name)))*
                    .finish()
            }
        }

        impl HttpSettings {
            /// Fills in the defaults.
            pub(crate) fn of(options: &HttpOptions) -> Self {
                Self { $($name: match options.$name.clone() {
                    Some(value) => value.into(),
                    None => $default,
                },)* }
            }
        }

        /// The level of each option of [`HTTP_OPTIONS`], in the same order.
        const LEVELS: &[Level] = &[$(Level::$level),*];

        /// The options of HTTP.
        pub static HTTP_OPTIONS: &[OptionInfo<HttpOptions>] = &[$({
            let (get, set) = optional!(HttpOptions, $name);
            OptionInfo {
                name: stringify!($name),
                aliases: &[$($alias),*],
                kind: kind!($kind),
                default: $shown,
                doc: $doc,
                on_update: OnUpdate::InPlace,
                given_in: GivenIn::BoundAndFile,
                get,
                set,
            }
        }),*];
    };
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

http_options! {
    Port some_text root_path [] = None, "none",
        "the path under which a proxy publishes the port, if the proxy removes the path from requests: \
         it is put before the paths of the `/docs` page and the OpenAPI document. The header \
         `X-Forwarded-Prefix` of a trusted proxy overrides it";
    Port texts allowed_hosts [] = Vec::new(), "any",
        "the hosts that requests may name in `Host`, without ports; `*.example.org` matches every name \
         below `example.org`. Other requests receive 421";
    Port texts trusted_proxies [] = Vec::new(), "none",
        "the addresses and networks (`10.0.0.0/8`) of proxies whose `Forwarded` and `X-Forwarded-*` \
         headers are believed";
    Port some_count max_connections [] = None, "no limit",
        "the number of connections that are open at a time, without WebSockets. Beyond it, connections that wait for a \
         request are closed, the longest idle ones first; if there is none, new connections wait";
    Port duration header_read_timeout [] = seconds(30), "30s",
        "the time in which the head of a request must arrive, from its first byte on; also the time \
         for a TLS handshake";
    Port duration keep_alive_timeout [] = seconds(90), "90s",
        "the time after which a connection without requests is closed (as in Ray Serve); at the latest \
         after twice the time";
    Port duration body_timeout [] = seconds(60), "60s",
        "the longest pause within the body of a request (as in nginx). Then the request receives 408";
    Port size min_body_rate [] = 500, "500",
        "the least number of bytes a second at which the body of a request must arrive, on average \
         after its first 20 s (as in Apache httpd). Below it, the request receives 408";
    Port duration send_timeout [] = seconds(60), "60s",
        "the time in which a client must read something of an answer (as in nginx)";
    Port duration http2_keep_alive_interval [] = seconds(20), "20s",
        "the interval of the pings on HTTP/2 connections";
    Port duration drain_delay [] = Duration::ZERO, "0s",
        "the time for which a shutdown goes on serving, after `/-/healthz` has begun to report it, so \
         that load balancers stop sending requests first";
    Port some_text tls_cert ["ssl_certfile"] = None, "none",
        "the file with the certificate chain (PEM). With `tls_key`, the port speaks TLS; both files are \
         read again when they change";
    Port some_text tls_key ["ssl_keyfile"] = None, "none",
        "the file with the private key of the certificate (PEM)";
    Application size max_body [] = 2 << 20, "2MiB",
        "the size of the largest body of a request to a typed endpoint that sets no limit of its own; \
         compressed bodies are counted decompressed";
    Application some_duration request_timeout [] = None, "none",
        "the deadline of a request that brings none";
    Application duration first_item_timeout [] = seconds(1), "1s",
        "the time for which a stream waits for its first item before its head is sent. Only an error \
         within it decides the status";
    Application duration heartbeat_interval [] = seconds(15), "15s",
        "the interval of the comments that keep a stream of server-sent events alive while it has no \
         items";
    Application flag compression [] = false, "false",
        "whether answers are compressed as the client accepts (`br`, `gzip`), if they are larger than \
         1 KiB and of a compressible type; needs the feature `compression`";
    Application texts cors_origins [] = Vec::new(), "none",
        "the origins whose pages may read answers; `*` is every origin. With none, no headers of CORS \
         are sent";
    Application texts cors_methods [] = Vec::new(), "the methods of the endpoint",
        "the methods that pages of other origins may use";
    Application texts cors_headers [] = Vec::new(), "the headers that the page asks for",
        "the request headers that pages of other origins may send";
    Application texts cors_expose_headers [] = Vec::new(), "`x-request-id`",
        "the response headers that pages of other origins may read";
    Application flag cors_credentials [] = false, "false",
        "whether pages of other origins may send cookies and credentials; not with the origin `*`";
    Application duration cors_max_age [] = seconds(600), "600s",
        "the time for which a browser may remember the answer to a preflight";
    Application count max_websockets [] = 1_000, "1000",
        "the number of WebSockets that each replica has open at a time. They do not count in \
         `max_ongoing_requests`";
    Application duration websocket_ping_interval [] = seconds(20), "20s",
        "the interval of the pings on a WebSocket";
    Application duration websocket_idle_timeout [] = seconds(60), "60s",
        "the time after which a WebSocket is closed if nothing arrives on it, not even the answer to a \
         ping";
    Application size max_websocket_message [] = 1 << 20, "1MiB",
        "the size of the largest message that a WebSocket accepts. A larger one closes it with code \
         1009";
    Application secrets api_keys [] = Vec::new(), "none",
        "the keys of which a request must bring one, as `Authorization: Bearer KEY` or `X-API-Key: \
         KEY`; without one it receives 401";
    Application some_rate rate_limit [] = None, "none",
        "the number of requests in a period, such as `100/s`, `1000/min` or `5000/h`, for each API key \
         or else each client address. Beyond it, requests receive 429";
    Application some_text error_format [] = None, "`serve`",
        "the form of error bodies: `serve`, `openai`, `problem` (RFC 9457), or a form of the user's own \
         by its registered name";
}

impl HttpSettings {
    /// Returns the limit of a typed endpoint's body that sets none of its own, in bytes.
    pub(crate) fn max_body(&self) -> usize {
        usize::try_from(self.max_body).unwrap_or(usize::MAX)
    }
}

/// Hides the value that a fault repeats if it may be a secret.
fn hidden(fault: OptionFault) -> OptionFault {
    if fault.path != "api_keys" {
        return fault;
    }
    OptionFault { message: "is not a list of strings: put each key in quotes".to_owned(), ..fault }
}

/// The names of the built-in error formats.
pub(crate) const ERROR_FORMATS: [&str; 3] = ["serve", "openai", "problem"];

/// The name of an error format that the program has registered.
#[derive(Debug)]
pub struct ErrorFormatName(pub &'static str);

inventory::collect!(ErrorFormatName);

/// True for `*`, and for an origin as browsers write it.
fn is_origin(origin: &str) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else {
        return origin == "*" || origin == "null";
    };
    let is_scheme = scheme.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let host_byte =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'#' | b'@');
    let is_host = !host.is_empty() && host.bytes().all(host_byte);
    is_scheme && !scheme.is_empty() && is_host && !host.contains(['*', ','])
}

/// True for the name of a method or a header (a token of RFC 9110), and for `*`.
fn is_token(name: &str) -> bool {
    let of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(of_token)
}

/// The groups into which a config file may sort options: `tls: { cert: .. }` is `tls_cert: ..`.
pub(crate) const GROUPS: [&str; 3] = ["tls", "cors", "websocket"];
/// A group of a config file that is a heading only.
pub(crate) const LIMITS: &str = "limits";

impl HttpOptions {
    /// Creates options of which none is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the options from a map, in the form of a config file.
    ///
    /// # Errors
    /// Returns every fault, with the keys that lead to it.
    pub(crate) fn read(map: Map<String, Value>) -> Result<Self, Vec<OptionFault>> {
        let mut flat = Map::new();
        let mut faults = Vec::new();
        for (key, value) in map {
            let Value::Object(group) = value else {
                flat.insert(key, value);
                continue;
            };
            if key != LIMITS && !GROUPS.contains(&&*key) {
                flat.insert(key, Value::Object(group));
                continue;
            }
            for (name, value) in group {
                let full = if key == LIMITS { name.clone() } else { format!("{key}_{name}") };
                if flat.contains_key(&full) {
                    let message = format!("`{full}` is the same option: give only one of them");
                    faults.push(OptionFault { path: format!("{key}.{name}"), message });
                } else {
                    flat.insert(full, value);
                }
            }
        }
        match table::read(HTTP_OPTIONS, flat) {
            Ok(options) if faults.is_empty() => options.check().map(|()| options),
            Ok(options) => Err(faults.into_iter().chain(options.faults()).collect()),
            Err(more) => Err(faults.into_iter().chain(more.into_iter().map(hidden)).collect()),
        }
    }

    /// Reads the options from a map whose keys are the options' own names. The values are not
    /// checked beyond their types.
    ///
    /// # Errors
    /// Returns every fault, with the keys that lead to it.
    #[cfg(feature = "config")]
    pub(crate) fn read_unchecked(map: Map<String, Value>) -> Result<Self, Vec<OptionFault>> {
        table::read(HTTP_OPTIONS, map).map_err(|faults| faults.into_iter().map(hidden).collect())
    }

    /// True if the option of this name is one of the port.
    #[cfg(feature = "config")]
    pub(crate) fn is_of_the_port(name: &str) -> bool {
        let mut options = HTTP_OPTIONS.iter().zip(LEVELS);
        options.any(|(option, level)| option.name == name && *level == Level::Port)
    }

    /// Rejects values that make no sense.
    ///
    /// # Errors
    /// Returns every fault.
    pub(crate) fn check(&self) -> Result<(), Vec<OptionFault>> {
        let faults = self.faults();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Rejects values that make no sense for an application.
    ///
    /// # Errors
    /// Returns every fault.
    pub(crate) fn check_for_application(&self) -> Result<(), Vec<OptionFault>> {
        let mut faults = self.faults();
        for (option, level) in HTTP_OPTIONS.iter().zip(LEVELS) {
            if *level == Level::Port && option.value(self).is_some() {
                let message = "an option of the port: give it to the runtime".to_owned();
                faults.push(OptionFault { path: option.name.to_owned(), message });
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    pub(crate) fn faults(&self) -> Vec<OptionFault> {
        let mut faults = Vec::new();
        let mut fault = |path: &str, message: String| {
            faults.push(OptionFault { path: path.to_owned(), message });
        };
        for option in HTTP_OPTIONS {
            let Some(value) = option.value(self) else { continue };
            match option.kind {
                ValueKind::Duration { zero: false } if value == Duration::ZERO.write() => {
                    fault(option.name, "is 0: must be more than 0, for example 10 s".to_owned());
                }
                ValueKind::Count { min: 1 } if value.as_u64() == Some(0) => {
                    fault(option.name, "is 0: give at least 1".to_owned());
                }
                ValueKind::Text if value.as_str() == Some("") => {
                    fault(option.name, "is empty".to_owned());
                }
                _ => {}
            }
        }
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => fault("tls_cert", "needs `tls_key`, its private key".to_owned()),
            (None, Some(_)) => fault("tls_key", "needs `tls_cert`, its certificate".to_owned()),
            _ => {}
        }
        let all_origins = self.cors_origins.iter().flatten().any(|origin| origin == "*");
        if all_origins && self.cors_credentials == Some(true) {
            let message = "`*` together with `cors_credentials`, which browsers refuse: list the \
                           origins";
            fault("cors_origins", message.to_owned());
        }
        if self.compression == Some(true) && !cfg!(feature = "compression") {
            let message = "needs the feature `compression` of serve-core, which is on by default";
            fault("compression", message.to_owned());
        }
        if let Some(path) = self.root_path.as_deref().filter(|path| !path.is_empty())
            && (!path.starts_with('/') || path.ends_with('/'))
        {
            let message = format!("{path:?} must begin with a slash and not end with one");
            fault("root_path", message);
        }
        for proxy in self.trusted_proxies.iter().flatten() {
            if proxy.parse::<IpNet>().is_err() && proxy.parse::<IpAddr>().is_err() {
                let message = format!(
                    "{proxy:?} is neither an address nor a network, such as \"10.0.0.0/8\""
                );
                fault("trusted_proxies", message);
            }
        }
        if let Some(name) = self.error_format.as_deref().filter(|name| !name.is_empty()) {
            let registered = inventory::iter::<ErrorFormatName>().map(|known| known.0);
            let known: Vec<&str> = ERROR_FORMATS.into_iter().chain(registered).collect();
            if !known.contains(&name) {
                let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
                let message = format!(
                    "no error format is named `{name}`; there are {}; `register_error_format!` \
                     registers one",
                    known.join(", ")
                );
                fault("error_format", message);
            }
        }
        if self.compression == Some(true) && cfg!(not(feature = "compression")) {
            fault("compression", "needs the feature `compression` of serve-core".to_owned());
        }
        for origin in self.cors_origins.iter().flatten().filter(|origin| !is_origin(origin)) {
            let message = format!(
                "{origin:?} is not an origin: write it as browsers do, `https://example.org`, with \
                 the port if it is not the usual one, or write `*`"
            );
            fault("cors_origins", message);
        }
        let names = [
            ("cors_methods", &self.cors_methods),
            ("cors_headers", &self.cors_headers),
            ("cors_expose_headers", &self.cors_expose_headers),
        ];
        for (option, names) in names {
            for name in names.iter().flatten().filter(|name| !is_token(name)) {
                fault(option, format!("{name:?} is not a name"));
            }
        }
        if self.api_keys.iter().flatten().any(|key| key.trim() != key || key.is_empty()) {
            fault("api_keys", "a key is empty, or begins or ends with a space".to_owned());
        }
        faults
    }
}

impl Serialize for HttpOptions {
    /// Writes the options that are set.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        table::write(HTTP_OPTIONS, self).serialize(to)
    }
}

impl<'de> Deserialize<'de> for HttpOptions {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let map = Map::deserialize(from)?;
        Self::read(map).map_err(|faults| de::Error::custom(OptionFault::in_all(&faults)))
    }
}

impl JsonSchema for HttpOptions {
    fn schema_name() -> Cow<'static, str> {
        "HttpOptions".into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let mut schema = table::schema(HTTP_OPTIONS, schemas);
        let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
            return schema;
        };
        for group in GROUPS {
            let prefix = format!("{group}_");
            let members: Map<String, Value> = properties
                .iter()
                .filter_map(|(name, schema)| {
                    Some((name.strip_prefix(&prefix)?.to_owned(), schema.clone()))
                })
                .collect();
            let doc = format!("The options whose names begin with `{prefix}`");
            properties.insert(group.to_owned(), group_schema(&doc, &members));
        }
        let all = properties.clone().into_iter().filter(|(name, _)| !GROUPS.contains(&&**name));
        let doc = "Any of the options, under a heading of their own";
        let limits = group_schema(doc, &all.collect());
        properties.insert(LIMITS.to_owned(), limits);
        schema
    }
}

fn group_schema(description: &str, properties: &Map<String, Value>) -> Value {
    serde_json::json!({
        "type": "object",
        "description": description,
        "properties": properties,
        "additionalProperties": false,
    })
}
