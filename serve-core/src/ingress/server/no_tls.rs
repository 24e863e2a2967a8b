//! The place of TLS in a program that is built without the feature `tls`.

use std::io;

use tokio::net::TcpStream;

use crate::application::HttpSettings;

/// TLS on a port: there is none.
#[derive(Clone, Debug)]
pub(crate) enum Tls {}

/// The error of settings that ask for TLS.
#[derive(Debug, thiserror::Error)]
#[error("`tls_cert` needs the feature `tls`: cargo add serve-core --features tls")]
pub(crate) struct TlsError;

impl Tls {
    /// Returns an error if the settings name a certificate.
    pub(crate) fn of(settings: &HttpSettings) -> Result<Option<Self>, TlsError> {
        if settings.tls_cert.is_some() { Err(TlsError) } else { Ok(None) }
    }

    #[expect(clippy::unused_async, reason = "the same signature as with the feature")]
    pub(crate) async fn accept(&self, _stream: TcpStream) -> io::Result<TcpStream> {
        match *self {}
    }
}
