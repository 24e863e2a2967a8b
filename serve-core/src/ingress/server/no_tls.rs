//! The place of TLS in a program that is built without the feature `tls`.

use std::io;

use tokio::net::TcpStream;

use crate::application::HttpSettings;
use crate::ingress::server::certificate_error::CertificateError;

/// TLS on a port: there is none.
#[derive(Clone, Debug)]
pub(crate) enum Tls {}

impl Tls {
    /// Returns an error if the settings name a certificate.
    pub(crate) fn of(settings: &HttpSettings) -> Result<Option<Self>, CertificateError> {
        if settings.tls_cert.is_some() { Err(CertificateError::NotBuilt) } else { Ok(None) }
    }

    #[expect(clippy::unused_async, reason = "the same signature as with the feature")]
    pub(crate) async fn accept(&self, _stream: TcpStream) -> io::Result<TcpStream> {
        match *self {}
    }
}
