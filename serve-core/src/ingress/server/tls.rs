//! TLS on the port: the certificate, which is read again when its files change, and the handshake.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::application::HttpSettings;
use crate::ingress::server::certificate_error::CertificateError;

/// The shortest time between two looks at the files. A renewed certificate is needed within days.
const LOOK: Duration = Duration::from_secs(1);
/// The time for a handshake if there is no limit for heads.
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(60);

/// TLS on a port.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
    handshake: Duration,
}

impl Tls {
    /// Reads the certificate that the settings name, if they name one.
    ///
    /// # Errors
    /// If the files cannot be read, or do not hold a certificate and its key.
    pub(crate) fn of(settings: &HttpSettings) -> Result<Option<Self>, CertificateError> {
        let (Some(cert), Some(key)) = (&settings.tls_cert, &settings.tls_key) else {
            return Ok(None);
        };
        let provider = Arc::new(ring::default_provider());
        let files = Files { cert: cert.into(), key: key.into() };
        let certificate = Arc::new(Certificate::read(files, Arc::clone(&provider))?);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the cipher suites of both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let handshake = match settings.header_read_timeout {
            Duration::ZERO => LONGEST_HANDSHAKE,
            limit => limit,
        };
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Some(Self { acceptor, certificate, handshake }))
    }

    /// Completes the handshake of a new connection, within the time limit.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.certificate.look();
        let accepted = timeout(self.handshake, self.acceptor.accept(stream)).await;
        accepted.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.certificate.files).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// The moments at which the two files were last changed, and their lengths.
type Versions = [Option<(SystemTime, u64)>; 2];

impl Files {
    fn versions(&self) -> Versions {
        [&self.cert, &self.key].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }

    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(&read(&self.cert)?)
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|chain| !chain.is_empty())
            .ok_or_else(|| CertificateError::NoCertificate(self.cert.clone()))?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?)
            .map_err(|_| CertificateError::NoKey(self.key.clone()))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|reason| {
            let (cert, key) = (self.cert.clone(), self.key.clone());
            match reason {
                rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch { cert, key },
                reason => CertificateError::Unusable { cert, key, reason: reason.to_string() },
            }
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}

/// The certificate of a port.
#[derive(Debug)]
struct Certificate {
    files: Files,
    provider: Arc<CryptoProvider>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    current: Arc<CertifiedKey>,
    versions: Versions,
    looked: Instant,
}

impl Certificate {
    fn read(files: Files, provider: Arc<CryptoProvider>) -> Result<Self, CertificateError> {
        let versions = files.versions();
        let current = Arc::new(files.read(&provider)?);
        let state = Mutex::new(State { current, versions, looked: Instant::now() });
        Ok(Self { files, provider, state })
    }

    /// Reads the files again if they have changed. While they cannot be used, for example because
    /// only one of the two is replaced yet, the certificate stays.
    fn look(&self) {
        let mut state = self.state.lock();
        if state.looked.elapsed() < LOOK {
            return;
        }
        state.looked = Instant::now();
        let versions = self.files.versions();
        if versions == state.versions {
            return;
        }
        state.versions = versions;
        match self.files.read(&self.provider) {
            Ok(read) => {
                state.current = Arc::new(read);
                tracing::info!("the certificate {} was renewed", self.files.cert.display());
            }
            Err(error) => {
                tracing::error!("the certificate cannot be renewed, the old one stays: {error}");
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.state.lock().current))
    }
}
