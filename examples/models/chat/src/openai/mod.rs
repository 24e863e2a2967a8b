//! [`OpenAi`]: the ingress, OpenAI's chat interface over HTTP.
//!
//! | module | owns |
//! |---|---|
//! | `fields` | which fields a request may have |
//! | `request` | a request, checked |
//! | `answer` | answers, whole and in chunks |
//! | `error` | errors in OpenAI's form |

mod answer;
mod error;
mod fields;
mod request;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::json;
use serve_core::axum::extract::rejection::BytesRejection;
use serve_core::axum::extract::{DefaultBodyLimit, Path, State};
use serve_core::axum::http::{Method, StatusCode, Uri};
use serve_core::axum::response::sse::{Event, KeepAlive, Sse};
use serve_core::axum::response::{Html, IntoResponse, Response};
use serve_core::axum::routing::{get, post};
use serve_core::axum::{Json, Router};
use serve_core::futures::stream;
use serve_core::prelude::*;

use crate::generate::{GenerateError, GenerateHandle};
use crate::model::{Finish, Piece};
use crate::settings::ModelSettings;
use answer::Head;
pub use error::ApiError;
pub use request::Request;

/// Many times what fits into the context of any model here.
const MAX_BODY: usize = 1 << 20;

/// How long before a request's deadline the model has to stop, so that there is time to say so.
const TIME_TO_ANSWER: Duration = Duration::from_millis(100);

type Pieces = ResponseStream<Piece, GenerateError>;

/// OpenAI's chat interface, and a page to chat on. Requests wait for a replica of the model and
/// not here: this one takes as many as come.
#[deployment(max_ongoing_requests = 1_000)]
#[derive(Debug)]
pub struct OpenAi {
    generate: GenerateHandle,
    models: Vec<String>,
    since: u64,
}

#[handle]
impl OpenAi {
    fn new(generate: GenerateHandle, models: Vec<ModelSettings>) -> Self {
        let models = models.into_iter().map(|model| model.id).collect();
        Self { generate, models, since: now() }
    }

    #[routes]
    fn routes(self: Arc<Self>) -> Router {
        Router::new()
            .route("/", get(async || Html(include_str!("../page.html"))))
            .route("/v1/models", get(list))
            .route("/v1/models/{*id}", get(show))
            .route("/v1/chat/completions", post(complete))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .fallback(no_route)
            .method_not_allowed_fallback(no_method)
            .with_state(self)
    }

    /// Starts an answer. Its prompt has been accepted then: errors that a status can say are
    /// known.
    async fn start(&self, request: &Request) -> Result<(Head, Pieces), ApiError> {
        if !self.models.contains(&request.model) {
            return Err(ApiError::no_model(&request.model));
        }
        let mut options = CallOptions::new().multiplexed_model_id(&request.model);
        if let Some(left) = context().remaining() {
            options = options.timeout(left.saturating_sub(TIME_TO_ANSWER.min(left / 10)));
        }
        let generate = self.generate.options(options);
        let mut pieces = generate.answer(request.messages.clone(), request.wish.clone());
        let prompt_tokens = match pieces.next().await {
            Some(Ok(Piece::Reading { of, .. })) => of,
            Some(Err(error)) => return Err(ApiError::of_call(error)),
            Some(Ok(_)) | None => return Err(broken()),
        };
        let head = Head {
            id: format!("chatcmpl-{}", context().request_id()),
            created: now(),
            model: request.model.clone(),
            prompt_tokens,
            include_usage: request.include_usage,
        };
        Ok((head, pieces))
    }
}

async fn complete(
    State(api): State<Arc<OpenAi>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let body = body.map_err(|rejection| {
        ApiError::new(rejection.status(), "invalid_body", rejection.body_text())
    })?;
    let request = Request::read(&body, rand::random())?;
    let (head, pieces) = api.start(&request).await?;
    if request.stream {
        return Ok(events(head, pieces).into_response());
    }
    let (text, finish, tokens) = collect(pieces).await?;
    Ok(Json(head.whole(&text, finish, tokens)).into_response())
}

/// The answer as server-sent events. Dropping them ends the generation.
fn events(head: Head, pieces: Pieces) -> impl IntoResponse {
    let first = stream::iter([head.first()]);
    let rest = pieces.flat_map(move |piece| stream::iter(head.events(piece)));
    let events = first
        .chain(rest)
        .map(|data| Ok::<_, std::convert::Infallible>(Event::default().data(data)));
    Sse::new(events).keep_alive(KeepAlive::default())
}

async fn collect(mut pieces: Pieces) -> Result<(String, Finish, usize), ApiError> {
    let mut text = String::new();
    while let Some(piece) = pieces.next().await {
        match piece.map_err(ApiError::of_call)? {
            Piece::Reading { .. } => {}
            Piece::Text(more) => text += &more,
            Piece::End { finish, tokens } => return Ok((text, finish, tokens)),
        }
    }
    Err(broken())
}

async fn list(State(api): State<Arc<OpenAi>>) -> impl IntoResponse {
    let models: Vec<_> = api.models.iter().map(|id| answer::model(id, api.since)).collect();
    Json(json!({"object": "list", "data": models}))
}

async fn show(
    State(api): State<Arc<OpenAi>>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, ApiError> {
    if !api.models.contains(&id) {
        return Err(ApiError::no_model(&id));
    }
    Ok(Json(answer::model(&id, api.since)))
}

async fn no_route(method: Method, uri: Uri) -> ApiError {
    let message = format!("Unknown request URL: {method} {}.", uri.path());
    ApiError::new(StatusCode::NOT_FOUND, "unknown_url", message)
}

async fn no_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not know the method {method}.", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

/// A stream that does not begin or end as it should.
fn broken() -> ApiError {
    let message = "The server failed to compute an answer.";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}
