//! TLS on the port.
#![cfg(all(feature = "http", feature = "tls"))]

use crate::support::clocks::{MS, SECOND, seconds};
use crate::support::http::serving;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serve_core::StartError;
use serve_core::http::HttpOptions;
use serve_core::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

#[deployment(graceful_shutdown_timeout = "100ms")]
#[derive(Default)]
struct Web;

#[handle]
impl Web {
    #[get("/")]
    pub async fn hello(&self) -> String {
        "hello".to_owned()
    }

    #[post("/up", body = body)]
    pub async fn up(&self, body: Bytes) -> usize {
        body.len()
    }
}

/// The two files of a certificate, in a directory of their own.
struct Files {
    directory: PathBuf,
}

impl Files {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("serve-tls-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a new certificate, and returns it.
    fn renew(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(self.path("cert.pem"), made.cert.pem()).unwrap();
        fs::write(self.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().clone()
    }

    fn options(&self) -> HttpOptions {
        HttpOptions::new().tls_cert(self.path("cert.pem")).tls_key(self.path("key.pem"))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Connects as a client that trusts one certificate alone.
async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    protocol: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let socket = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

async fn ask(stream: &mut TlsStream<TcpStream>, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = timeout(seconds(10), stream.read(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

const GET: &str = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[tokio::test]
async fn both_versions_of_http_are_served() -> Result<()> {
    let files = Files::new();
    let certificate = files.renew();
    let (_runtime, address) = serving(Web::bind(), files.options()).await?;
    let mut stream = connect(address, &certificate, "http/1.1").await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(ask(&mut stream, GET).await.ends_with("hello"));
    let origin = "POST /up HTTP/1.1\r\nhost: localhost\r\norigin: https://localhost\r\n\
                  content-length: 2\r\n\r\nab";
    assert!(ask(&mut stream, origin).await.starts_with("HTTP/1.1 200"));

    let stream = connect(address, &certificate, "h2").await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = ::http::Request::get("https://localhost/").body(Empty::<Bytes>::new()).unwrap();
    let answer = client.send_request(request).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
    Ok(())
}

/// An answer that comes before the body has arrived, over TLS.
#[tokio::test]
async fn an_early_answer_is_not_lost() -> Result<()> {
    let files = Files::new();
    let certificate = files.renew();
    let (_runtime, address) = serving(Web::bind(), files.options()).await?;
    let mut stream = connect(address, &certificate, "http/1.1").await?;
    let length = 3 << 20;
    let head = format!("POST /up HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&vec![b'x'; length]).await?;
    let answer = ask(&mut stream, "").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart() -> Result<()> {
    let files = Files::new();
    let old = files.renew();
    let (_runtime, address) = serving(Web::bind(), files.options()).await?;
    let mut open = connect(address, &old, "http/1.1").await?;
    // Half of a renewal, or a broken file, leaves the certificate as it is.
    fs::write(files.path("cert.pem"), "broken")?;
    tokio::time::pause();
    sleep(2 * SECOND).await;
    tokio::time::resume();
    connect(address, &old, "http/1.1").await?;
    let new = files.renew();
    tokio::time::pause();
    sleep(2 * SECOND).await;
    tokio::time::resume();
    assert!(connect(address, &old, "http/1.1").await.is_err(), "the old one is gone");
    let mut stream = connect(address, &new, "http/1.1").await?;
    assert!(ask(&mut stream, GET).await.ends_with("hello"));
    assert!(ask(&mut open, GET).await.ends_with("hello"), "open connections go on");
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_starts_nothing() {
    let files = Files::new();
    let error = async |options| {
        let start = Runtime::builder().http(([127, 0, 0, 1], 0)).http_options(options).start();
        let error = start.await.unwrap_err();
        assert!(matches!(error, StartError::Certificate(_)), "{error:?}");
        error.to_string()
    };
    let missing = error(files.options()).await;
    assert!(missing.contains("cert.pem: No such file"), "{missing}");
    files.renew();
    fs::copy(files.path("key.pem"), files.path("old.pem")).unwrap();
    files.renew();
    let mismatch = error(files.options().tls_key(files.path("old.pem"))).await;
    assert!(mismatch.contains("old.pem is not the private key of the certificate"), "{mismatch}");
    let swapped = files.options().tls_cert(files.path("key.pem"));
    let swapped = error(swapped).await;
    assert!(swapped.contains("key.pem: no certificate in PEM form"), "{swapped}");
    let no_key = error(files.options().tls_key(files.path("cert.pem"))).await;
    assert!(no_key.contains("cert.pem: no private key in PEM form"), "{no_key}");
}

#[tokio::test(start_paused = true)]
async fn handshakes_that_do_not_end_are_given_up() -> Result<()> {
    let files = Files::new();
    files.renew();
    let (runtime, address) =
        serving(Web::bind(), files.options().header_read_timeout(3 * SECOND)).await?;
    let mut silent = TcpStream::connect(address).await?;
    let mut plain = TcpStream::connect(address).await?;
    plain.write_all(GET.as_bytes()).await?;
    let mut answer = Vec::new();
    let _ = timeout(SECOND, plain.read_to_end(&mut answer)).await.expect("refused at once");
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1"), "{answer:?}");
    let ended = timeout(5 * SECOND, silent.read(&mut [0; 16])).await;
    assert_eq!(ended.expect("in time").unwrap_or(0), 0);
    // A handshake does not hold a shutdown.
    let _silent = TcpStream::connect(address).await?;
    sleep(10 * MS).await;
    timeout(SECOND, runtime.shutdown()).await.expect("at once");
    Ok(())
}
