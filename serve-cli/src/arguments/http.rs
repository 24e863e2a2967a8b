//! The address to listen on, from the command line or the environment.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;
use miette::Diagnostic;

use super::environment::{BadVariable, Variables, first_set};
use crate::exit_code;
use crate::failure::Failure;

/// The port if none is given.
#[cfg(feature = "cargo")]
const PORT: u16 = 8000;

/// The error of a socket that cannot be opened.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub(crate) enum NotListening {
    #[error("port {} of {} is in use", .address.port(), .address.ip())]
    #[diagnostic(
        code(serve::address_unavailable),
        help("stop the program that uses the port, or use another port: `--port {}`; `--port 0` picks a free port", other(*.address))
    )]
    PortTaken { address: SocketAddr },

    #[error("cannot listen on {address}")]
    #[diagnostic(
        code(serve::address_unavailable),
        help(
            "`--host` must be an address of this machine, and ports below 1024 may need privileges"
        )
    )]
    Address {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
}

impl NotListening {
    pub(crate) fn new(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::PortTaken { address },
            _ => Self::Address { address, source },
        }
    }
}

impl Failure for NotListening {
    fn exit_code(&self) -> u8 {
        exit_code::ADDRESS_UNAVAILABLE
    }
}

/// Returns a port that is likely to be free, for an example.
fn other(address: SocketAddr) -> u16 {
    address.port().checked_add(1).unwrap_or(8000)
}

/// The address to listen on.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct HttpArguments {
    /// The IP address to listen on; 0.0.0.0 listens on every address of this machine
    /// [default: 127.0.0.1] [env: SERVE_HTTP_HOST]
    #[arg(long, value_name = "ADDRESS", value_parser = host)]
    pub(crate) host: Option<IpAddr>,

    /// The port to listen on; 0 picks a free port
    /// [default: 8000] [env: SERVE_HTTP_PORT or PORT]
    #[arg(long, value_parser = port)]
    pub(crate) port: Option<u16>,
}

impl HttpArguments {
    /// Returns the address: from the options, else from `variables`, else the default.
    #[cfg(feature = "cargo")]
    pub(crate) fn address(&self, variables: Variables<'_>) -> Result<SocketAddr, BadVariable> {
        let (ip, number) = self.given(variables)?;
        let ip = ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Ok(SocketAddr::new(ip, number.unwrap_or(PORT)))
    }

    /// Returns what is given: by the options, else by `variables`.
    pub(crate) fn given(
        &self,
        variables: Variables<'_>,
    ) -> Result<(Option<IpAddr>, Option<u16>), BadVariable> {
        let ip = match self.host {
            Some(ip) => Some(ip),
            None => first_set(variables, &["SERVE_HTTP_HOST"], host)?,
        };
        let number = match self.port {
            Some(number) => Some(number),
            None => first_set(variables, &["SERVE_HTTP_PORT", "PORT"], port)?,
        };
        Ok((ip, number))
    }
}

fn host(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match bare {
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => bare
            .parse()
            .map_err(|_| "expected an IP address, such as 127.0.0.1 or 0.0.0.0".to_owned()),
    }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "expected a number from 0 to 65535, as in `8080`".to_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn localhost_is_an_address() {
        assert_eq!(host("localhost"), Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(host("[::1]").map(|ip| ip.to_string()), Ok("::1".to_owned()));
        assert!(host("example.org").is_err(), "names are not looked up");
    }

    #[test]
    fn an_invalid_port_says_what_is_expected() {
        assert_eq!(port("65535"), Ok(65535));
        for nonsense in ["80x", "65536", "-1", ""] {
            let error = port(nonsense).expect_err("no port");
            assert!(error.contains("a number from 0 to 65535"), "{error}");
        }
    }

    #[test]
    fn options_win_over_variables() {
        let variables = |name: &str| match name {
            "SERVE_HTTP_HOST" => Some(OsString::from("0.0.0.0")),
            "PORT" => Some(OsString::from("9000")),
            _ => None,
        };
        let address = |arguments: HttpArguments, variables: Variables<'_>| {
            arguments.address(variables).expect("an address").to_string()
        };
        let none = HttpArguments::default;
        assert_eq!(address(none(), &|_| None), "127.0.0.1:8000");
        assert_eq!(address(none(), &variables), "0.0.0.0:9000");
        let port = HttpArguments { port: Some(1), ..none() };
        assert_eq!(address(port, &variables), "0.0.0.0:1");
        let host = HttpArguments { host: "::".parse().ok(), ..none() };
        assert_eq!(address(host, &variables), "[::]:9000");
    }
}
