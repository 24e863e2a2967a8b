//! Compressed bodies of requests and of answers.
#![cfg(all(feature = "http", feature = "compression"))]

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use futures::StreamExt;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::Value;
use serve_core::axum::Router;
use serve_core::axum::http::header;
use serve_core::axum::routing::get;
use serve_core::futures::stream;
use serve_core::http::{FilePart, HttpOptions};
use serve_core::prelude::*;
use serve_core::testing::{HttpClient, HttpResponse};
use tokio::time::sleep;

const LONG: usize = 50_000;

#[deployment]
#[derive(Default)]
struct Desk;

#[handle]
impl Desk {
    #[post("/json")]
    pub async fn json(&self, text: String) -> usize {
        text.len()
    }

    #[post("/raw", body = data, max_body = "100KiB")]
    pub async fn raw(&self, data: Bytes) -> usize {
        data.len()
    }

    #[post("/file", multipart)]
    pub async fn file(&self, file: FilePart) -> usize {
        file.data.len()
    }

    #[get("/text/{length}")]
    pub async fn text(&self, length: usize) -> String {
        "text ".repeat(length / 5)
    }

    #[get("/bytes")]
    pub async fn bytes(&self) -> Bytes {
        Bytes::from(vec![b'a'; LONG])
    }

    #[get("/lines")]
    pub fn lines(&self) -> impl Stream<Item = String> {
        stream::iter(0..3).then(|number| async move {
            sleep(Duration::from_secs(1)).await;
            format!("line {number}\n").repeat(100)
        })
    }

    #[get("/fails")]
    pub async fn fails(&self) -> Result<()> {
        Err(Error::msg("no ".repeat(LONG)).with_status(409))
    }

    #[routes]
    pub fn routes(self: Arc<Self>) -> Router {
        let tagged = || async { ([(header::ETAG, "\"a\"")], "routed ".repeat(LONG)) };
        let ready = || async { ([(header::CONTENT_ENCODING, "br")], "a".repeat(LONG)) };
        let kept =
            || async { ([(header::CACHE_CONTROL, "private, no-transform")], "a".repeat(LONG)) };
        let echo = |body: Bytes| async move { body.len().to_string() };
        Router::new()
            .route("/routed", get(tagged).post(echo))
            .route("/ready", get(ready))
            .route("/kept", get(kept))
    }
}

async fn served(options: HttpOptions) -> Result<(MockRuntime, HttpClient)> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Application::new(Desk::bind()).http_options(options)).await?;
    let http = runtime.http();
    Ok((runtime, http))
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn brotli(data: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    let mut encoder = brotli::CompressorWriter::new(&mut encoded, 4096, 4, 19);
    encoder.write_all(data).unwrap();
    drop(encoder);
    encoded
}

fn zstd(data: &[u8]) -> Vec<u8> {
    compress_to_vec(data, CompressionLevel::Fastest)
}

type Encode = fn(&[u8]) -> Vec<u8>;

const CODINGS: [(&str, Encode); 6] = [
    ("gzip", gzip),
    ("X-GZIP", gzip),
    ("deflate", zlib),
    ("deflate", deflate),
    ("br", brotli),
    ("zstd", zstd),
];

async fn send(http: &HttpClient, path: &str, coding: &str, body: Vec<u8>) -> Result<HttpResponse> {
    let content_type = match path {
        "/file" => "multipart/form-data; boundary=XX",
        _ => "application/json",
    };
    let request = http.post(path).header("content-type", content_type);
    request.header("content-encoding", coding).body(body).await
}

#[tokio::test(start_paused = true)]
async fn compressed_bodies_are_read() -> Result<()> {
    let (_runtime, http) = served(HttpOptions::new()).await?;
    let text = "x".repeat(LONG);
    let json = format!("{{\"text\": \"{text}\"}}");
    let file = format!(
        "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n{text}\r\n\
         --XX--\r\n"
    );
    for (coding, encode) in CODINGS {
        let bodies = [("/json", json.as_str()), ("/raw", &text), ("/file", &file)];
        for (path, body) in bodies {
            let response = send(&http, path, coding, encode(body.as_bytes())).await?;
            assert_eq!(response.status(), 200, "{coding} {path}");
            assert_eq!(response.json::<usize>().await?, LONG, "{coding} {path}");
        }
    }
    // Several members of gzip and several frames of zstd are one body.
    for (coding, encode) in [("gzip", gzip as Encode), ("zstd", zstd)] {
        let twice = [encode(b"abc"), encode(b"de")].concat();
        assert_eq!(send(&http, "/raw", coding, twice).await?.json::<usize>().await?, 5, "{coding}");
    }
    let plain = send(&http, "/raw", "identity", b"abc".to_vec()).await?;
    assert_eq!(plain.json::<usize>().await?, 3);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_that_of_the_decompressed_body() -> Result<()> {
    let (_runtime, http) = served(HttpOptions::new()).await?;
    let fits = vec![b'a'; 100 << 10];
    let bomb = vec![b'a'; 50 << 20];
    for (coding, encode) in CODINGS {
        assert_eq!(send(&http, "/raw", coding, encode(&fits)).await?.status(), 200, "{coding}");
        let mut large = fits.clone();
        large.push(b'a');
        let response = send(&http, "/raw", coding, encode(&large)).await?;
        assert_eq!(response.status(), 413, "{coding}");
        let body: Value = response.json().await?;
        assert_eq!(body["error"]["message"], "the body is larger than 102400 bytes");
    }
    assert_eq!(send(&http, "/raw", "gzip", gzip(&bomb)).await?.status(), 413);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_decompressed_is_refused() -> Result<()> {
    let (_runtime, http) = served(HttpOptions::new()).await?;
    for (coding, encode) in CODINGS {
        let whole = encode(b"{\"text\": \"a\"}");
        for broken in [&whole[..whole.len() - 1], b"{\"text\": \"a\"}"] {
            let response = send(&http, "/json", coding, broken.to_vec()).await?;
            assert_eq!(response.status(), 400, "{coding}");
        }
    }
    for unknown in ["compress", "gzip, br", "aes128gcm"] {
        let response = send(&http, "/raw", unknown, b"abc".to_vec()).await?;
        assert_eq!(response.status(), 415, "{unknown}");
        assert_eq!(response.header("accept-encoding"), Some("gzip, deflate, br, zstd"));
        let body: Value = response.json().await?;
        let message = body["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains(unknown) && message.contains("zstd"), "{message}");
    }
    // The body of a route is its own business.
    let routed = send(&http, "/routed", "compress", b"abc".to_vec()).await?;
    assert_eq!(routed.text().await?, "3");
    Ok(())
}

fn decoded(coding: &str, body: &[u8]) -> String {
    let mut text = String::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap(),
        _ => brotli::Decompressor::new(body, 4096).read_to_string(&mut text).unwrap(),
    };
    text
}

async fn answer(http: &HttpClient, path: &str, accept: &str) -> Result<HttpResponse> {
    http.get(path).header("accept-encoding", accept).await
}

#[tokio::test(start_paused = true)]
async fn answers_are_compressed_as_the_client_accepts() -> Result<()> {
    let (_runtime, http) = served(HttpOptions::new().compression(true)).await?;
    for (accept, coding) in
        [("gzip", "gzip"), ("gzip, deflate, br, zstd", "br"), ("br;q=0.1, *", "gzip")]
    {
        for path in ["/text/50000", "/text/5000000", "/lines", "/routed", "/fails"] {
            let response = answer(&http, path, accept).await?;
            assert_eq!(response.header("content-encoding"), Some(coding), "{path} {accept}");
            assert_eq!(response.header("vary"), Some("accept-encoding"), "{path}");
            let plain = answer(&http, path, "identity").await?;
            assert_eq!(plain.status(), response.status());
            assert_eq!(plain.header("content-encoding"), None);
            assert_eq!(plain.header("vary"), Some("accept-encoding"), "{path}");
            let tag = response.header("etag").map(str::to_owned);
            assert_eq!(tag.as_deref(), (path == "/routed").then_some("W/\"a\""));
            let (body, plain) = (response.bytes().await?, plain.text().await?);
            assert!(body.len() < plain.len() / 4, "{path}: {} {}", body.len(), plain.len());
            let text = decoded(coding, &body);
            // The ids in the errors differ.
            assert!(text == plain || path == "/fails", "{path}");
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn small_and_unfit_answers_are_sent_as_they_are() -> Result<()> {
    let (_runtime, http) = served(HttpOptions::new().compression(true)).await?;
    for (path, vary) in [
        ("/text/1000", Some("accept-encoding")),
        ("/bytes", None),
        ("/kept", None),
        ("/nowhere", Some("accept-encoding")),
    ] {
        let response = answer(&http, path, "gzip").await?;
        assert_eq!(response.header("content-encoding"), None, "{path}");
        assert_eq!(response.header("vary"), vary, "{path}");
    }
    assert_eq!(answer(&http, "/ready", "gzip").await?.header("content-encoding"), Some("br"));
    let events = http.get("/lines").header("accept", "text/event-stream");
    let events = events.header("accept-encoding", "gzip").await?;
    assert_eq!(events.header("content-encoding"), None);
    // `HEAD` says what `GET` would.
    for path in ["/text/50000", "/routed"] {
        let head = http.request("HEAD", path).header("accept-encoding", "gzip").await?;
        assert_eq!(head.header("vary"), Some("accept-encoding"), "{path}");
        assert_eq!(head.text().await?, "");
    }
    let (_runtime, http) = served(HttpOptions::new()).await?;
    let response = answer(&http, "/text/50000", "gzip").await?;
    assert_eq!((response.header("content-encoding"), response.header("vary")), (None, None));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn each_piece_of_a_stream_can_be_read_when_it_arrives() -> Result<()> {
    let (_runtime, http) = served(HttpOptions::new().compression(true)).await?;
    for coding in ["gzip", "br"] {
        let mut chunks = answer(&http, "/lines", coding).await?.chunks();
        let first = chunks.next().await.unwrap()?;
        let mut text = vec![0; 5];
        match coding {
            "gzip" => flate2::read::GzDecoder::new(&*first).read_exact(&mut text)?,
            _ => brotli::Decompressor::new(&*first, 4096).read_exact(&mut text)?,
        }
        assert_eq!(text, b"line ", "{coding}");
    }
    Ok(())
}
