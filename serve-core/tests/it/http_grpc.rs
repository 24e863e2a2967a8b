//! What gRPC asks of the ingress: deadlines, refusals and failures in its own words. Calls by a real
//! client are tested in `examples/grpc`.
#![cfg(feature = "http")]

use crate::support::clocks::{A_DAY, SECOND};
use crate::support::log::Log;

use std::sync::Arc;

use serve_core::axum::Router;
use serve_core::axum::body::Body;
use serve_core::axum::response::{IntoResponse, Response};
use serve_core::axum::routing::post;
use serve_core::http::{HttpError, HttpOptions, Rate};
use serve_core::prelude::*;
use serve_core::testing::{HttpClient, HttpRequest, HttpResponse};
use tokio::time::{Instant, sleep};

#[deployment(max_ongoing_requests = 1, max_queued_requests = 0)]
#[derive(Default)]
struct Site;

#[handle]
impl Site {
    #[post("/typed")]
    pub async fn typed(&self, number: u32) -> u32 {
        number
    }

    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        Router::new()
            .route("/x.Y/Wait", post(wait))
            .route("/x.Y/Stream", post(stream))
            .route("/x.Y/Panic", post(async || -> String { panic!("on purpose") }))
            .route("/x.Y/Own", post(async || HttpError::new(404, "no paper 7: 100 % für\nnichts")))
    }
}

async fn wait() -> String {
    sleep(A_DAY).await;
    String::new()
}

/// A response that has begun, and then has nothing more to say for a day.
async fn stream() -> Response {
    let first = futures::stream::iter([Ok::<_, std::io::Error>("first")]);
    let rest = futures::stream::once(async {
        sleep(A_DAY).await;
        Ok("rest")
    });
    Body::from_stream(first.chain(rest)).into_response()
}

async fn site(options: HttpOptions) -> Result<(MockRuntime, HttpClient)> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Application::new(Site::bind()).http_options(options)).await?;
    let http = runtime.http();
    Ok((runtime, http))
}

fn call(http: &HttpClient, path: &str) -> HttpRequest {
    http.post(path).header("content-type", "application/grpc+proto")
}

/// The code and the message of a trailers-only response.
fn outcome(response: &HttpResponse) -> (&str, &str) {
    assert_eq!(response.status(), 200);
    assert_eq!(response.header("content-type"), Some("application/grpc+proto"));
    assert!(
        response.header("x-request-id").is_some() && response.header("content-length").is_none()
    );
    (response.header("grpc-status").unwrap(), response.header("grpc-message").unwrap())
}

#[tokio::test(start_paused = true)]
async fn refusals_are_trailers_only_responses() -> Result<()> {
    let (_runtime, http) = site(HttpOptions::new()).await?;
    for (path, code, message) in [
        ("/x.Y/Nothing", "12", "not found"),
        ("/typed", "12", "application/grpc+proto"),
        ("/x.Y/Panic", "13", "Internal Server Error"),
        ("/x.Y/Own", "5", "no paper 7: 100 %25 f%C3%BCr%0Anichts"),
    ] {
        let response = call(&http, path).await?;
        let (status, said) = outcome(&response);
        assert!(status == code && said.contains(message), "{path}: {status} {said}");
        assert_eq!(response.bytes().await?, "", "{path}");
    }
    let json = http.post("/x.Y/Nothing").await?;
    assert_eq!((json.status().as_u16(), json.header("grpc-status")), (404, None));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_overload_is_an_exhausted_resource() -> Result<()> {
    let (_runtime, http) = site(HttpOptions::new()).await?;
    let running = tokio::spawn(call(&http, "/x.Y/Wait").send());
    sleep(SECOND).await;
    let refused = call(&http, "/x.Y/Wait").await?;
    assert_eq!(outcome(&refused).0, "8");
    assert_eq!(refused.header("retry-after"), Some("1"));
    running.abort();
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn keys_and_rates_have_statuses_of_grpc() -> Result<()> {
    let (_runtime, http) = site(HttpOptions::new().api_keys(["k"])).await?;
    assert_eq!(outcome(&call(&http, "/x.Y/Own").await?).0, "16");
    let (_runtime, http) = site(HttpOptions::new().rate_limit(Rate::per_minute(1))).await?;
    assert_eq!(outcome(&call(&http, "/x.Y/Own").await?).0, "5");
    assert_eq!(outcome(&call(&http, "/x.Y/Own").await?).0, "8");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_earliest_deadline_ends_a_call() -> Result<()> {
    let (_runtime, http) = site(HttpOptions::new().request_timeout(60 * SECOND)).await?;
    for (headers, after) in [
        (&[("grpc-timeout", "1500m")][..], 1_500),
        (&[("grpc-timeout", "2S"), ("x-request-timeout-seconds", "1")], 1_000),
        (&[("grpc-timeout", "1S"), ("x-request-timeout-seconds", "2")], 1_000),
        (&[("grpc-timeout", "0n")], 0),
        (&[("grpc-timeout", "soon")], 60_000),
    ] {
        let began = Instant::now();
        let mut request = call(&http, "/x.Y/Wait");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let late = request.await?;
        assert_eq!(outcome(&late).0, "4", "{headers:?}");
        assert!(outcome(&late).1.contains("deadline"), "{headers:?}");
        assert_eq!(began.elapsed().as_millis(), after, "{headers:?}");
    }
    Ok(())
}

/// The lines of the access log, without the parts that differ from run to run.
fn access_lines(log: &Log) -> Vec<String> {
    log.take().iter().map(|line| line.without(&["message", "request_id"])).collect()
}

/// The access log has the status of gRPC, which the trailers bring if the response has begun.
#[tokio::test(start_paused = true)]
async fn a_response_that_has_begun_ends_with_the_trailers_of_its_failure() -> Result<()> {
    let log = Log::of(|metadata| metadata.target() == "serve_core::access");
    let (runtime, http) = site(HttpOptions::new()).await?;
    let late = call(&http, "/x.Y/Stream").header("grpc-timeout", "5S").await?;
    assert_eq!(late.text().await?, "first", "the body does not break off");
    let dying = call(&http, "/x.Y/Stream").await?;
    assert!(runtime.kill_replica::<Site>(0));
    assert_eq!(dying.text().await?, "first");
    call(&http, "/x.Y/Own").await?;
    assert_eq!(
        access_lines(&log),
        [
            r#"method="POST" route="/x.Y/Stream" status=200 grpc_status=4 ms=5000.0"#,
            r#"method="POST" route="/x.Y/Stream" status=200 grpc_status=14 ms=0.0"#,
            r#"method="POST" route="/x.Y/Own" status=200 grpc_status=5 ms=0.0"#,
        ]
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_application_that_starts_is_unavailable() -> Result<()> {
    #[deployment]
    struct Late;

    #[handle]
    impl Late {
        async fn new() -> Self {
            sleep(A_DAY).await;
            Self
        }

        #[routes]
        pub fn routes(self: Arc<Self>) -> Router {
            Router::new().route("/x.Y/Z", post(async || ""))
        }
    }

    let runtime = MockRuntime::builder().start();
    let starting = runtime.run(Late::bind());
    let asking = async {
        sleep(SECOND).await;
        call(&runtime.http(), "/x.Y/Z").await
    };
    let answer = tokio::select! {
        _ = starting => panic!("it starts for a day"),
        answer = asking => answer?,
    };
    assert_eq!(outcome(&answer).0, "14");
    assert!(outcome(&answer).1.contains("is starting"));
    Ok(())
}
