//! [`Client`]: a client of an instance's admin port.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::Error;
use crate::arguments::{RemoteArguments, Variables};

/// The time in which an instance accepts a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// The time for an answer. A change is answered once it is accepted.
const ANSWER: Duration = Duration::from_secs(30);
/// The time for the answer to a deletion, which comes once the application has stopped.
const DELETION: Duration = Duration::from_secs(600);

/// A client of an instance's admin port.
#[derive(Debug)]
pub(super) struct Client {
    address: String,
    token: Option<HeaderValue>,
}

/// The answer to a request that succeeded.
pub(super) type Answer = Value;

impl Client {
    pub(super) fn new(remote: &RemoteArguments, variables: Variables<'_>) -> Result<Self, Error> {
        let token = variables("SERVE_TOKEN").and_then(|token| token.into_string().ok());
        let token = token.filter(|token| !token.trim().is_empty()).and_then(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        Ok(Self { address: remote.address(variables)?, token })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, Error> {
        self.send(Method::GET, path, Vec::new()).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<Answer, Error> {
        self.send(Method::PUT, path, body.to_string().into_bytes()).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Answer, Error> {
        self.send(Method::POST, path, body.to_string().into_bytes()).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Answer, Error> {
        self.send(Method::DELETE, path, Vec::new()).await
    }

    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Answer, Error> {
        let silent = |source| Error::NotAnswered { address: self.address.clone(), source };
        let late = |_| silent(io::ErrorKind::TimedOut.into());
        let limit = if method == Method::DELETE { DELETION } else { ANSWER };
        let stream = timeout(CONNECT, TcpStream::connect(&self.address)).await.map_err(late)?;
        let stream = stream.map_err(silent)?;
        let broken = |error: hyper::Error| self.not_serve(&error.to_string());
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // The connection ends with the answer.
        tokio::spawn(async move { drop(connection.await) });
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.address)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let request = request
            .body(Full::new(bytes::Bytes::from(body)))
            .map_err(|error| self.not_serve(&error.to_string()))?;
        let response = timeout(limit, sender.send_request(request)).await.map_err(late)?;
        let response = response.map_err(broken)?;
        let status = response.status();
        let body = timeout(limit, response.into_body().collect()).await.map_err(late)?;
        let body = body.map_err(broken)?.to_bytes();
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        if status.is_success() {
            return answer.ok_or_else(|| self.not_serve("the answer is not JSON"));
        }
        match answer.as_ref().and_then(refusal) {
            Some((code, message)) => Err(Error::Refused { code, message }),
            None => Err(self.not_serve(&format!("the answer is {status}"))),
        }
    }

    fn not_serve(&self, problem: &str) -> Error {
        Error::NotServe { address: self.address.clone(), problem: problem.to_owned() }
    }
}

/// Returns the code and the message of a refusal, with a line for each fault of a configuration.
fn refusal(answer: &Value) -> Option<(String, String)> {
    // An error of the HTTP port has the id of its request.
    let error = answer.get("error").filter(|error| error.get("request_id").is_none())?;
    let text = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
    let code = text(error, "code")?;
    let faults = error.get("faults").and_then(Value::as_array).into_iter().flatten();
    let faults: Vec<String> = faults
        .filter_map(|fault| {
            let message = text(fault, "message")?;
            Some(match text(fault, "path") {
                Some(path) => format!("{path}: {message}"),
                None => message,
            })
        })
        .collect();
    let message = match &*faults {
        [] => text(error, "message")?,
        faults => faults.join("\n"),
    };
    Some((code, message))
}

/// Returns a part of a path with everything escaped that has a meaning in one.
pub(super) fn segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_has_a_line_for_each_fault() {
        let fault = |path: &str, message: &str| json!({ "path": path, "message": message });
        let error = json!({ "error": {
            "code": "invalid_config",
            "message": "the configuration has 2 faults",
            "faults": [fault("a", "wrong"), fault("b", "too")],
        }});
        let (code, message) = refusal(&error).expect("a refusal");
        assert_eq!((&*code, &*message), ("invalid_config", "a: wrong\nb: too"));
        let plain = json!({ "error": { "code": "unauthorized", "message": "a token" } });
        assert_eq!(refusal(&plain).expect("a refusal").1, "a token");
        assert_eq!(refusal(&json!({ "error": "Scale" })), None);
    }

    #[test]
    fn names_are_escaped_in_paths() {
        assert_eq!(segment("my app/é"), "my%20app%2F%C3%A9");
    }
}
