//! The admin port, from the command line or the environment.

use clap::Args;
use serve_core::config::AdminPort;

use super::environment::{BadVariable, Variables, first_set};

/// The admin port of the program.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct AdminArguments {
    /// The admin port: a number, 0 for a free port, or `off`
    /// [default: 8265 or the next free port] [env: SERVE_ADMIN_PORT]
    #[arg(long, value_name = "PORT", value_parser = admin_port)]
    pub(crate) admin_port: Option<AdminPort>,
}

impl AdminArguments {
    /// Returns the port that is asked for: from the option, else from `variables`.
    pub(crate) fn port(&self, variables: Variables<'_>) -> Result<Option<AdminPort>, BadVariable> {
        match self.admin_port {
            Some(port) => Ok(Some(port)),
            None => first_set(variables, &["SERVE_ADMIN_PORT"], admin_port),
        }
    }
}

fn admin_port(text: &str) -> Result<AdminPort, String> {
    if text == "off" {
        return Ok(AdminPort::Off);
    }
    let expected = "expected a number from 0 to 65535, or `off`";
    text.parse().map(AdminPort::Port).map_err(|_| expected.to_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn a_port_is_a_number_or_off() {
        assert_eq!(admin_port("off"), Ok(AdminPort::Off));
        assert_eq!(admin_port("0"), Ok(AdminPort::Port(0)));
        assert!(admin_port("none").expect_err("no port").contains("or `off`"));
        let variables = |name: &str| (name == "SERVE_ADMIN_PORT").then(|| OsString::from("9"));
        let of = |admin_port| AdminArguments { admin_port }.port(&variables).expect("valid");
        assert_eq!(of(None), Some(AdminPort::Port(9)));
        assert_eq!(of(Some(AdminPort::Off)), Some(AdminPort::Off));
    }
}
