//! TLS by options of the command line.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustix::process::Signal;
use serve_tests::Fixture;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Writes a certificate for `localhost` and its key into the directory of a fixture.
fn certificate(fixture: &Fixture, cert: &str, key: &str) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    fs::write(fixture.path(cert), made.cert.pem()).expect("a file");
    fs::write(fixture.path(key), made.signing_key.serialize_pem()).expect("a file");
    made.cert.der().clone()
}

/// Sends a GET request as a client that trusts one certificate alone, and returns the answer.
fn get(address: SocketAddr, trusted: CertificateDer<'static>, path: &str) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let socket = TcpStream::connect(address).expect("a connection");
    let mut stream = StreamOwned::new(client, socket);
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => panic!("no answer: {error}"),
        _ => String::from_utf8(answer).expect("text"),
    }
}

#[test]
fn a_certificate_makes_the_port_speak_https() {
    let library = Fixture::new("library");
    let old = certificate(&library, "cert.pem", "key.pem");
    let run = ["run", "greeter:spanish", "--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    let mut server = library.serve(run).begin();
    let line = server.wait_for("/-/healthz");
    let (_, address) = line.split_once("https://").expect("an address");
    let address = address.split('/').next().and_then(|address| address.parse().ok());
    let address = address.expect("an address");
    let answer = get(address, old, "/?name=Dora");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("Hola Dora!"), "{answer}");
    server.signal(Signal::INT);
    assert!(server.wait().success(), "{}", server.said());

    // The built program finds what is wrong with the files.
    certificate(&library, "other.pem", "other.key");
    let run = ["run", "greeter:spanish", "--tls-cert", "cert.pem", "--tls-key", "other.key"];
    insta::assert_snapshot!(library.serve(run).finish(), @"
    exit code: 18
    ----- stderr -----
    error[serve::certificate]: other.key is not the private key of the certificate in cert.pem
      help: name the files of one certificate; in the first, its own certificate comes before those of its issuers
    ");
    let run = ["run", "greeter:spanish", "--tls-cert", "key.pem", "--tls-key", "key.pem"];
    insta::assert_snapshot!(library.serve(run).finish(), @"
    exit code: 18
    ----- stderr -----
    error[serve::certificate]: key.pem, which `--tls-cert` names, has no certificate in PEM form
      help: a certificate begins with `-----BEGIN CERTIFICATE-----`; `openssl x509 -inform der -in FILE -out cert.pem` converts one in DER form
    ");
    let run = ["run", "greeter:spanish", "--tls-cert", "cert.pem", "--tls-key", "cert.pem"];
    insta::assert_snapshot!(library.serve(run).finish(), @"
    exit code: 18
    ----- stderr -----
    error[serve::certificate]: cert.pem, which `--tls-key` names, has no private key in PEM form
      help: a private key begins with `-----BEGIN PRIVATE KEY-----`; `openssl pkey -in FILE -out key.pem` converts one in another form, or with a passphrase
    ");
}

#[test]
fn files_that_cannot_be_read_are_found_before_the_build() {
    let library = Fixture::shared("library");
    let run = ["run", "greeter:spanish", "--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    insta::assert_snapshot!(library.serve(run).finish(), @"
    exit code: 18
    ----- stderr -----
    error[serve::certificate]: there is no file cert.pem, which `--tls-cert` names
      help: name a file in PEM form, by its path from this directory or from the root
    ");
    let run = ["run", "greeter:spanish", "--tls-cert", "Cargo.toml", "--tls-key", "src"];
    insta::assert_snapshot!(library.serve(run).finish(), @"
    exit code: 18
    ----- stderr -----
    error[serve::certificate]: cannot read src, which `--tls-key` names
      caused by: Is a directory (os error 21)
      help: it must be a file that the user of this program may read
    ");
    let run = ["run", "greeter:spanish", "--tls-cert", "cert.pem"];
    insta::assert_snapshot!(library.serve(run).finish(), @"
    exit code: 2
    ----- stderr -----
    error: the following required arguments were not provided:
      --tls-key <FILE>


    For more information, try '--help'.
    ");
}

#[test]
fn a_program_of_ones_own_enables_the_feature_itself() {
    let own = Fixture::new("own-binary");
    certificate(&own, "cert.pem", "key.pem");
    let run = ["run", "--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    insta::assert_snapshot!(own.serve(run).finish(), @"
    exit code: 4
    ----- stdout -----
    main has begun
    ----- stderr -----
    error[serve::certificate]: this program was built without TLS
      help: build it with `cargo serve build --tls`; in a package with its own program, enable the feature `tls` of `serve-cli`
    ");
}
