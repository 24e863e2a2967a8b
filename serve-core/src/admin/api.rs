//! The paths of the admin port.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequestParts, Path, Query, Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Access;
use super::operations::{Fault, Operations, Refusal};
use super::ray;

/// The largest body that is read, in bytes: a configuration with a thousand deployments has a tenth.
const MAX_BODY: usize = 8 << 20;

/// The state of the routes.
type Ops = State<Arc<dyn Operations>>;

/// Returns the routes of the admin port.
pub(super) fn router(access: Access, operations: Arc<dyn Operations>) -> Router {
    let applications = get(details).put(put_applications).delete(delete_applications);
    Router::new()
        .route("/api/serve/applications/", applications.clone())
        .route("/api/serve/applications", applications)
        .route("/api/ray/version", get(version))
        .route("/api/version", get(version))
        .route("/api/v1/applications/{application}", delete(delete_application))
        .route("/api/v1/applications/{application}/deployments/{deployment}/scale", post(scale))
        .route("/api/v1/config", get(config))
        .route("/api/v1/config/history", get(history))
        .route("/api/v1/config/diff", post(diff))
        .route("/api/v1/config/rollback", post(rollback))
        .route("/api/v1/shutdown", post(shut_down))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(Arc::new(access), check_access))
        .with_state(operations)
}

/// The name of the one who sent a request, for the log of changes.
#[derive(Clone, Debug)]
struct By(String);

impl<S: Sync> FromRequestParts<S> for By {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self("unknown".to_owned())))
    }
}

/// The body of a request, or the refusal of one that is too large or broken off.
struct Content(Bytes);

impl<S: Send + Sync> axum::extract::FromRequest<S> for Content {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let body = Bytes::from_request(request, state).await;
        body.map(Self).map_err(|rejection| {
            let (status, message) = (rejection.status().as_u16(), rejection.body_text());
            Refusal::new(status, "invalid_body", message)
        })
    }
}

async fn check_access(
    State(access): State<Arc<Access>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let (mut head, body) = request.into_parts();
    let mut response = match access.check(&head, peer) {
        Ok(by) => {
            head.extensions.insert(By(by));
            next.run(Request::from_parts(head, body)).await
        }
        Err(refusal) => refusal.into_response(),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(Fault { path, line, column, .. }) = self.faults.first() {
            error["path"] = json!(path);
            if let Some(line) = line {
                error["line"] = json!(line);
                error["column"] = json!(column);
            }
            error["faults"] = json!(self.faults);
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = (status, json_body(&json!({ "error": error }))).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn json_body(value: &impl serde::Serialize) -> Response {
    let body = serde_json::to_vec(value).unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], Body::from(body)).into_response()
}

/// Returns a response that names the revision.
fn with_revision(revision: u64, body: Response) -> Response {
    let mut response = body;
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Returns the revision that a request names in `If-Match`.
fn expected(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(tag) = headers.get(IF_MATCH) else { return Ok(None) };
    let tag = tag.to_str().unwrap_or_default().trim();
    if tag == "*" {
        return Ok(None);
    }
    let number = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
    number.parse().map(Some).map_err(|_| {
        let message = format!(
            "`If-Match: {}` is not a revision: send the `ETag` of an earlier answer",
            tag.escape_debug()
        );
        Refusal::new(400, "invalid_header", message)
    })
}

async fn not_found(uri: Uri) -> Refusal {
    let path: String = uri.path().chars().take(200).collect();
    Refusal::new(
        404,
        "not_found",
        format!("the admin port has no `{}`; see docs/operating.md", path.escape_debug()),
    )
}

async fn method_not_allowed(method: Method) -> Response {
    let message = format!("the path does not take `{method}`; see the header `Allow`");
    let mut response = Refusal::new(405, "method_not_allowed", message).into_response();
    // axum adds the methods that the path takes.
    response.headers_mut().remove(ALLOW);
    response
}

async fn version(State(ops): Ops) -> Response {
    json_body(&ray::version(&ops.instance()))
}

/// The query of `GET /api/serve/applications/`.
#[derive(Deserialize)]
struct ApiType {
    api_type: Option<String>,
}

async fn details(State(ops): Ops, query: Query<ApiType>) -> Result<Response, Refusal> {
    let source = match query.0.api_type.as_deref().map(str::to_ascii_lowercase) {
        None => None,
        Some(source) if ["imperative", "declarative"].contains(&&*source) => Some(source),
        Some(other) => {
            let message = format!(
                "`api_type` is `{}`: must be `imperative` or `declarative`",
                other.escape_debug()
            );
            return Err(Refusal::new(400, "invalid_query", message));
        }
    };
    let instance = ops.instance();
    let details = ray::instance_details(&instance, source.as_deref());
    Ok(with_revision(instance.revision, json_body(&details)))
}

async fn put_applications(
    State(ops): Ops,
    By(by): By,
    headers: HeaderMap,
    Content(body): Content,
) -> Result<Response, Refusal> {
    let revision = ops.put(body, by, expected(&headers)?).await?;
    Ok(with_revision(revision, json_body(&json!({ "revision": revision }))))
}

async fn delete_applications(State(ops): Ops, By(by): By) -> Result<Response, Refusal> {
    ops.delete(None, by).await?;
    Ok(json_body(&json!({})))
}

async fn delete_application(
    State(ops): Ops,
    By(by): By,
    Path(application): Path<String>,
) -> Result<Response, Refusal> {
    ops.delete(Some(application), by).await?;
    Ok(json_body(&json!({})))
}

async fn scale(
    State(ops): Ops,
    By(by): By,
    Path((application, deployment)): Path<(String, String)>,
    headers: HeaderMap,
    Content(body): Content,
) -> Result<Response, Refusal> {
    let invalid = |message: String| Refusal::new(400, "invalid_body", message);
    const EXPECTED: &str = "send a body such as {\"target_num_replicas\": 3}";
    let body: Value = serde_json::from_slice(&body)
        .map_err(|error| invalid(format!("the body is not JSON ({error}): {EXPECTED}")))?;
    let only = body.as_object().filter(|body| body.keys().all(|key| key == "target_num_replicas"));
    let replicas = only.and_then(|body| body.get("target_num_replicas")?.as_u64());
    let replicas = replicas.and_then(|replicas| usize::try_from(replicas).ok());
    let replicas = replicas.filter(|replicas| *replicas <= MAX_REPLICAS).ok_or_else(|| {
        invalid(format!(
            "the body has no `target_num_replicas` from 0 to {MAX_REPLICAS}, or has other keys \
             besides: {EXPECTED}"
        ))
    })?;
    let revision = ops.scale(application, deployment, replicas, by, expected(&headers)?).await?;
    let message = "Scaling request received. Deployment will get scaled asynchronously.";
    let body = json!({ "message": message, "revision": revision });
    Ok(with_revision(revision, json_body(&body)))
}

/// The most replicas that a request may ask for: a number beyond it is a mistake.
const MAX_REPLICAS: usize = 1_000_000;

async fn config(State(ops): Ops) -> Response {
    let config = ops.config();
    with_revision(config.revision, json_body(&config))
}

async fn history(State(ops): Ops) -> Response {
    json_body(&json!({ "changes": ops.history() }))
}

async fn diff(State(ops): Ops, Content(body): Content) -> Result<Response, Refusal> {
    let effects = ops.diff(body).await?;
    Ok(json_body(&json!({ "effects": effects })))
}

/// The body of `rollback`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RollbackRequest {
    revision: Option<u64>,
}

async fn rollback(
    State(ops): Ops,
    By(by): By,
    headers: HeaderMap,
    Content(body): Content,
) -> Result<Response, Refusal> {
    let request: RollbackRequest = match body.trim_ascii() {
        b"" => RollbackRequest::default(),
        body => serde_json::from_slice(body).map_err(|error| {
            let message = format!(
                "the body is not a rollback ({error}): send {{}} for the configuration before, or \
                 {{\"revision\": 3}}"
            );
            Refusal::new(400, "invalid_body", message)
        })?,
    };
    let revision = ops.rollback(request.revision, by, expected(&headers)?).await?;
    Ok(with_revision(revision, json_body(&json!({ "revision": revision }))))
}

async fn shut_down(State(ops): Ops, By(by): By) -> Response {
    ops.shut_down(by);
    json_body(&json!({}))
}
