//! Real clients of gRPC over real sockets.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use serve_core::futures::{FutureExt, stream};
use serve_core::http::HttpOptions;
use serve_core::prelude::*;
use tokio::sync::mpsc;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::pb::words_client::WordsClient;
use super::pb::{Text, Word};
use super::{Gateway, Writer, grpc};

/// Longer than any test runs.
const AN_HOUR: Duration = Duration::from_secs(3600);
const AT_ONCE: Duration = Duration::from_millis(1);

async fn serve(
    application: impl Into<Application<Gateway>>,
    options: HttpOptions,
) -> Result<(Runtime, SocketAddr)> {
    let builder = Runtime::builder().http(([127, 0, 0, 1], 0)).http_options(options);
    let runtime = builder.start().await?;
    runtime.run(application.into()).await?;
    let address = runtime.http_address().expect("it listens");
    Ok((runtime, address))
}

/// An application over plaintext HTTP/2, and a connection to it.
async fn plain(application: impl Into<Application<Gateway>>) -> Result<(Runtime, Channel)> {
    let (runtime, address) = serve(application, HttpOptions::new()).await?;
    Ok((runtime, connect(address).await?))
}

async fn connect(address: SocketAddr) -> Result<Channel> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?.connect().await?)
}

fn text(text: &str) -> Text {
    Text { text: text.to_owned() }
}

fn word(word: &str) -> Word {
    Word { word: word.to_owned() }
}

/// Waits until so many calls of the writer run.
async fn until_running(runtime: &Runtime, calls: usize) {
    let running = || runtime.status().applications["default"].deployments["Writer"].ongoing;
    let waiting = async {
        while running() != calls {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert!(waited.is_ok(), "{calls} calls, but {}", running());
}

#[tokio::test]
async fn one_port_serves_http_and_every_kind_of_call() -> Result<()> {
    let (runtime, channel) = plain(grpc()).await?;
    let mut client = WordsClient::new(channel);
    let counted = client.count(text("one port for both")).await?;
    assert_eq!(counted.into_inner().number, 4);

    let split = client.split(text("one by one")).await?.into_inner();
    let split: Vec<String> = split.map(|word| word.unwrap().word).collect().await;
    assert_eq!(split, ["one", "by", "one"]);

    // Each word is answered before the next one is sent.
    let (say, said) = mpsc::channel(1);
    let said = stream::unfold(said, async |mut said| Some((said.recv().await?, said)));
    let mut heard = client.shout(said).await?.into_inner();
    for (said, shouted) in [("hola", "HOLA"), ("tú", "TÚ")] {
        say.send(word(said)).await?;
        assert_eq!(heard.message().await?, Some(word(shouted)));
    }
    drop(say);
    assert_eq!(heard.message().await?, None, "the end of one stream is that of the other");
    assert!(heard.trailers().await?.is_some());

    let mut http = tokio::net::TcpStream::connect(runtime.http_address().unwrap()).await?;
    let mut answer = String::new();
    let asked = b"GET /count?text=a+b HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut http, asked).await?;
    tokio::io::AsyncReadExt::read_to_string(&mut http, &mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n2"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_deadline_ends_a_call_and_is_told() -> Result<()> {
    let (runtime, channel) = plain(Gateway::bind(Writer::bind(AN_HOUR))).await?;
    let mut client = WordsClient::new(channel);
    let mut request = Request::new(text("too late"));
    request.metadata_mut().insert("grpc-timeout", "100m".parse()?);
    // The stream has begun: the server tells of the deadline in the trailers.
    let mut words = client.split(request).await?.into_inner();
    let late = words.message().await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late}");
    assert!(late.message().contains("deadline"), "{late}");
    until_running(&runtime, 0).await;
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_stops_the_callee() -> Result<()> {
    let (runtime, channel) = plain(Gateway::bind(Writer::bind(AN_HOUR))).await?;
    let mut client = WordsClient::new(channel);
    let words = client.split(text("nobody listens")).await?;
    until_running(&runtime, 1).await;
    drop(words);
    until_running(&runtime, 0).await;

    // A client that is gone with its connection, in the middle of its own stream.
    let address = runtime.http_address().expect("it listens");
    let elsewhere = tokio::runtime::Runtime::new()?;
    let talking = elsewhere.spawn(async move {
        let mut client = WordsClient::new(connect(address).await?);
        let said = stream::iter([word("hola")]).chain(stream::pending());
        let mut shouted = client.shout(said).await?.into_inner();
        assert_eq!(shouted.message().await?, Some(word("HOLA")));
        Ok::<_, Error>(shouted)
    });
    let _shouted = talking.await??;
    until_running(&runtime, 1).await;
    elsewhere.shutdown_background();
    until_running(&runtime, 0).await;
    Ok(())
}

#[tokio::test]
async fn a_stream_that_the_server_ends_ends_the_call_of_its_client() -> Result<()> {
    let gateway = Gateway::bind(Writer::bind(Duration::ZERO));
    let (runtime, channel) = plain(gateway.graceful_shutdown_timeout(AT_ONCE)).await?;
    let mut client = WordsClient::new(channel);
    let (_say, said) = mpsc::channel::<Word>(1);
    let said = stream::unfold(said, async |mut said| Some((said.recv().await?, said)));
    let mut heard = client.shout(said).await?.into_inner();
    until_running(&runtime, 1).await;
    runtime.delete("default").await?;
    let gone = heard.message().await.unwrap_err();
    assert_eq!(gone.code(), Code::Unavailable, "{gone}");
    Ok(())
}

#[tokio::test]
async fn refusals_have_the_statuses_of_grpc() -> Result<()> {
    let one = Gateway::bind(Writer::bind(AN_HOUR)).max_ongoing_requests(1).max_queued_requests(0);
    let (runtime, channel) = plain(one.graceful_shutdown_timeout(AT_ONCE)).await?;
    let mut client = WordsClient::new(channel.clone());
    let _running = client.split(text("one")).await?;
    until_running(&runtime, 1).await;
    let refused = client.count(text("two")).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("max_queued_requests"), "{refused}");
    assert_eq!(refused.metadata().get("retry-after").unwrap(), "1");

    runtime.delete("default").await?;
    let unknown = client.count(text("three")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unimplemented, "{unknown}");
    Ok(())
}

/// The writer's own limit: the gateway converts the failure of its call.
#[tokio::test]
async fn a_failed_call_of_the_service_has_its_status() -> Result<()> {
    let writer = Writer::bind(AN_HOUR).num_replicas(1);
    let writer = writer.max_ongoing_requests(1).max_queued_requests(0);
    let (runtime, channel) = plain(Gateway::bind(writer)).await?;
    let mut client = WordsClient::new(channel);
    let _running = client.split(text("one")).await?;
    until_running(&runtime, 1).await;
    let refused = client.count(text("two")).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("overloaded"), "{refused}");
    Ok(())
}

async fn health(channel: Channel, service: &str) -> Result<ServingStatus, Code> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel).check(request).await;
    answer.map(|answer| answer.into_inner().status()).map_err(|status| status.code())
}

#[tokio::test]
async fn health_follows_the_application() -> Result<()> {
    let (runtime, channel) = plain(grpc()).await?;
    for service in ["", "words.v1.Words"] {
        assert_eq!(health(channel.clone(), service).await, Ok(ServingStatus::Serving));
    }
    assert_eq!(health(channel.clone(), "other").await, Err(Code::NotFound));

    let mut watched = HealthClient::new(channel.clone());
    let mut watched = watched.watch(HealthCheckRequest::default()).await?.into_inner();
    assert_eq!(watched.message().await?.unwrap().status(), ServingStatus::Serving);
    let deleting = runtime.delete("default");
    let (deleted, ended) = tokio::join!(deleting, async {
        assert_eq!(watched.message().await?.unwrap().status(), ServingStatus::NotServing);
        watched.message().await
    });
    deleted?;
    assert_eq!(ended?, None, "the stream ends with its replica, and not after its grace period");
    assert_eq!(health(channel, "").await, Err(Code::Unimplemented));
    Ok(())
}

#[tokio::test]
async fn a_process_that_goes_away_is_not_healthy() -> Result<()> {
    let options = HttpOptions::new().drain_delay(AN_HOUR);
    let (runtime, address) = serve(grpc(), options).await?;
    let channel = connect(address).await?;
    assert_eq!(health(channel.clone(), "").await, Ok(ServingStatus::Serving));
    let mut shutdown = pin!(runtime.shutdown());
    assert!((&mut shutdown).now_or_never().is_none(), "it waits for the load balancer");
    let waiting = async {
        while health(channel.clone(), "").await != Err(Code::Unavailable) {}
        // Calls are served as before.
        WordsClient::new(channel.clone()).count(text("still here")).await
    };
    tokio::select! {
        () = &mut shutdown => panic!("the drain is over"),
        counted = waiting => assert_eq!(counted?.into_inner().number, 2),
    }
    Ok(())
}

#[tokio::test]
async fn reflection_lists_the_services() -> Result<()> {
    let (_runtime, channel) = plain(grpc()).await?;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel);
    let answers = client.server_reflection_info(stream::iter([request])).await?;
    let answer = answers.into_inner().message().await?;
    let Some(ServerReflectionResponse {
        message_response: Some(MessageResponse::ListServicesResponse(list)),
        ..
    }) = answer
    else {
        panic!("no list: {answer:?}")
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    let known = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "words.v1.Words"];
    assert_eq!(names, known);
    Ok(())
}

#[tokio::test]
async fn tls_needs_no_more_than_the_options_of_the_port() -> Result<()> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let directory = std::env::temp_dir().join(format!("serve-grpc-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let (cert, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    std::fs::write(&cert, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let options =
        HttpOptions::new().tls_cert(cert.to_string_lossy()).tls_key(key.to_string_lossy());
    let (_runtime, address) = serve(grpc(), options).await?;
    std::fs::remove_dir_all(&directory)?;
    let trusted = Certificate::from_pem(made.cert.pem());
    let tls = ClientTlsConfig::new().ca_certificate(trusted).domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://{address}"))?.tls_config(tls)?;
    let counted = WordsClient::new(endpoint.connect().await?).count(text("over TLS")).await?;
    assert_eq!(counted.into_inner().number, 2);
    Ok(())
}

/// The code of the guide is the code of this program.
#[test]
fn the_page_about_grpc_shows_this_program() {
    let bare = |code: &str| code.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let sources = [
        include_str!("lib.rs"),
        include_str!("../build.rs"),
        include_str!("../proto/words.proto"),
        include_str!("../Cargo.toml"),
    ];
    let sources = sources.map(bare);
    let page = include_str!("../../../docs/grpc.md");
    let blocks: Vec<_> = page.split("\n```").skip(1).step_by(2).collect();
    assert!(blocks.len() >= 4, "the page has code");
    for block in blocks {
        let (language, code) = block.split_once('\n').expect("a block has lines");
        // What stands between two `// ...` is in one piece.
        for piece in code.split("// ...\n").filter(|_| !["console", "yaml"].contains(&language)) {
            let piece = bare(piece);
            let known = sources.iter().any(|source| source.contains(piece.trim()));
            assert!(known, "no file has\n{piece}");
        }
    }
}
