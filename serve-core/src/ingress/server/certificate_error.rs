//! [`CertificateError`]: the reasons why the port has no TLS although it should.

use std::io;
use std::path::PathBuf;

/// The reason why the certificate of the HTTP port cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file of the certificate has none in PEM form.
    #[error("{}: no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)", .0.display())]
    NoCertificate(PathBuf),
    /// The file of the key has none in PEM form, or one with a passphrase.
    #[error("{}: no private key in PEM form (`-----BEGIN PRIVATE KEY-----`)", .0.display())]
    NoKey(PathBuf),
    /// The key is not that of the certificate, which is the first in its file.
    #[error("{} is not the private key of the certificate {}", .key.display(), .cert.display())]
    Mismatch {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The certificate or the key is of an unknown or unsafe kind.
    #[error("{} and {} cannot be used: {reason}", .cert.display(), .key.display())]
    Unusable {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The program was built without the feature `tls` of `serve-core`.
    #[error("TLS needs the feature `tls`: cargo add serve-core --features tls")]
    NotBuilt,
}
