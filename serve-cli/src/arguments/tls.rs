//! The certificate of the HTTP port, from the command line or from a configuration.

use std::fs;
use std::io;

use clap::Args;
use miette::Diagnostic;
use serve_core::http::{CertificateError, HttpOptions};

use crate::exit_code;
use crate::failure::Failure;
use crate::output;

/// The options that name the two files, on the command line and in a configuration.
const OPTIONS: Names = Names { cert: "--tls-cert", key: "--tls-key" };
const KEYS: Names = Names { cert: "http.tls.cert", key: "http.tls.key" };

#[derive(Debug, Clone, Copy)]
struct Names {
    cert: &'static str,
    key: &'static str,
}

/// The certificate, and its key.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TlsArguments {
    /// The file with the certificate chain (PEM); the port then speaks HTTPS instead of HTTP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<String>,

    /// The file with the private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<String>,

    /// True if the files are those of a configuration.
    #[arg(skip)]
    are_configured: bool,
}

/// The two files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TlsFiles<'a> {
    pub(crate) cert: &'a str,
    pub(crate) key: &'a str,
    names: Names,
}

/// The error of a certificate that cannot be used.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub(crate) enum BadCertificate {
    #[error("there is no file {path}, which `{option}` names")]
    #[diagnostic(
        code(serve::certificate),
        help("name a file in PEM form, by its path from this directory or from the root")
    )]
    Missing { option: &'static str, path: String },

    #[error("cannot read {path}, which `{option}` names")]
    #[diagnostic(
        code(serve::certificate),
        help("it must be a file that the user of this program may read")
    )]
    Unreadable {
        option: &'static str,
        path: String,
        #[source]
        source: io::Error,
    },

    #[error("{path}, which `{option}` names, has no certificate in PEM form")]
    #[diagnostic(
        code(serve::certificate),
        help(
            "a certificate begins with `-----BEGIN CERTIFICATE-----`; `openssl x509 -inform der -in \
             FILE -out cert.pem` converts one in DER form"
        )
    )]
    NoCertificate { option: &'static str, path: String },

    #[error("{path}, which `{option}` names, has no private key in PEM form")]
    #[diagnostic(
        code(serve::certificate),
        help(
            "a private key begins with `-----BEGIN PRIVATE KEY-----`; `openssl pkey -in FILE -out \
             key.pem` converts one in another form, or with a passphrase"
        )
    )]
    NoKey { option: &'static str, path: String },

    #[error("{key} is not the private key of the certificate in {cert}")]
    #[diagnostic(
        code(serve::certificate),
        help(
            "name the files of one certificate; in the first, its own certificate comes before those \
             of its issuers"
        )
    )]
    Mismatch { cert: String, key: String },

    #[error("the certificate in {cert} and the key in {key} cannot be used: {reason}")]
    #[diagnostic(
        code(serve::certificate),
        help("use a key of the kind ECDSA (P-256, P-384), Ed25519, or RSA of at least 2048 bits")
    )]
    Unusable { cert: String, key: String, reason: String },

    #[error("this program was built without TLS")]
    #[diagnostic(
        code(serve::certificate),
        help(
            "build it with `cargo serve build --tls`; in a package with its own program, enable the \
             feature `tls` of `serve-cli`"
        )
    )]
    NotBuilt,
}

impl TlsArguments {
    /// Returns the files, if they were given.
    pub(crate) fn files(&self) -> Option<TlsFiles<'_>> {
        let names = if self.are_configured { KEYS } else { OPTIONS };
        Some(TlsFiles { cert: self.tls_cert.as_deref()?, key: self.tls_key.as_deref()?, names })
    }

    /// Returns the files that were given, or else those of a configuration.
    pub(crate) fn or_configured(&self, options: &HttpOptions) -> Self {
        if self.tls_cert.is_some() {
            return self.clone();
        }
        let options = serde_json::json!(options);
        let file = |name: &str| options.get(name)?.as_str().map(str::to_owned);
        Self { tls_cert: file("tls_cert"), tls_key: file("tls_key"), are_configured: true }
    }
}

impl TlsFiles<'_> {
    /// Checks that both files can be read. What is in them is known once the port is opened.
    pub(crate) fn check(self) -> Result<(), BadCertificate> {
        for (option, path) in [(self.names.cert, self.cert), (self.names.key, self.key)] {
            fs::read(path).map_err(|source| BadCertificate::read(option, path, source))?;
        }
        Ok(())
    }

    /// Converts the error of a port with these files.
    pub(crate) fn error(self, error: CertificateError) -> BadCertificate {
        let (cert, key) = (output::name(self.cert), output::name(self.key));
        let names = self.names;
        match error {
            CertificateError::Read { path, source } if path.as_os_str() == self.key => {
                BadCertificate::read(names.key, self.key, source)
            }
            CertificateError::Read { source, .. } => {
                BadCertificate::read(names.cert, self.cert, source)
            }
            CertificateError::NoCertificate(_) => {
                BadCertificate::NoCertificate { option: names.cert, path: cert }
            }
            CertificateError::NoKey(_) => BadCertificate::NoKey { option: names.key, path: key },
            CertificateError::Mismatch { .. } => BadCertificate::Mismatch { cert, key },
            CertificateError::Unusable { reason, .. } => {
                BadCertificate::Unusable { cert, key, reason }
            }
            CertificateError::NotBuilt => BadCertificate::NotBuilt,
            other => BadCertificate::Unusable { cert, key, reason: other.to_string() },
        }
    }
}

impl BadCertificate {
    fn read(option: &'static str, path: &str, source: io::Error) -> Self {
        let path = output::name(path);
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { option, path },
            _ => Self::Unreadable { option, path, source },
        }
    }
}

impl Failure for BadCertificate {
    fn exit_code(&self) -> u8 {
        match self {
            Self::NotBuilt => exit_code::NOT_RUNNABLE,
            _ => exit_code::CERTIFICATE,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        tls: TlsArguments,
    }

    fn files(words: &[&str]) -> Result<Line, clap::Error> {
        Line::try_parse_from(["serve"].iter().chain(words))
    }

    #[test]
    fn a_certificate_needs_its_key() {
        let line = files(&["--tls-cert", "a", "--tls-key", "b"]).expect("both");
        assert!(matches!(line.tls.files(), Some(TlsFiles { cert: "a", key: "b", .. })));
        assert!(files(&[]).expect("none").tls.files().is_none());
        for (one, other) in [("--tls-cert", "--tls-key"), ("--tls-key", "--tls-cert")] {
            let error = files(&[one, "a"]).expect_err("one alone").to_string();
            assert!(error.contains(other), "{error}");
        }
    }

    #[test]
    fn the_error_of_a_file_names_its_option() {
        let here = env!("CARGO_MANIFEST_DIR");
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let error = |cert, key| {
            let files = TlsFiles { cert, key, names: OPTIONS };
            files.check().map_err(|error| error.to_string())
        };
        assert_eq!(error(manifest, manifest), Ok(()));
        let missing = Err("there is no file nowhere.pem, which `--tls-cert` names".to_owned());
        assert_eq!(error("nowhere.pem", manifest), missing);
        let directory = Err(format!("cannot read {here}, which `--tls-key` names"));
        assert_eq!(error(manifest, here), directory);
        let files = TlsFiles { cert: "c", key: "k", names: OPTIONS };
        let gone =
            CertificateError::Read { path: "k".into(), source: io::ErrorKind::NotFound.into() };
        let gone = files.error(gone).to_string();
        assert_eq!(gone, "there is no file k, which `--tls-key` names");
    }

    #[test]
    fn the_files_of_a_configuration_count_where_none_are_given() {
        let options = HttpOptions::new().tls_cert("c").tls_key("k");
        let configured = TlsArguments::default().or_configured(&options);
        let files = configured.files().expect("two files");
        assert_eq!((files.cert, files.key), ("c", "k"));
        let error = files.check().expect_err("no such file").to_string();
        assert_eq!(error, "there is no file c, which `http.tls.cert` names");
        let given = files_of(&["--tls-cert", "a", "--tls-key", "b"]).or_configured(&options);
        assert_eq!(given.files().map(|files| files.cert), Some("a"));
        assert!(TlsArguments::default().or_configured(&HttpOptions::new()).files().is_none());
    }

    fn files_of(words: &[&str]) -> TlsArguments {
        files(words).expect("a command line").tls
    }
}
