//! The command line that `cargo serve` passes on to the program. `cargo serve` has already
//! parsed these arguments, and the program parses them again.

use std::ffi::OsString;

use clap::ValueEnum;
use serve_core::config::AdminPort;

use crate::arguments::{
    AdminArguments, ApplicationArguments, ApplicationPath, Assignment, CallArguments,
    GraphArguments, HttpArguments, ListArguments, LogArguments, Method, NodeArguments,
    RunArguments, TlsArguments,
};

impl RunArguments {
    /// Returns the arguments as a `run ...` command line.
    pub(crate) fn to_command_line(&self) -> Vec<OsString> {
        let mut line = vec!["run".into()];
        line.extend(self.http.to_command_line());
        line.extend(self.tls.to_command_line());
        if let Some(name) = &self.name {
            line.push(format!("--name={name}").into());
        }
        if let Some(prefix) = &self.route_prefix {
            line.push(format!("--route-prefix={prefix}").into());
        }
        if self.open {
            line.push("--open".into());
        }
        line.extend(self.admin.to_command_line());
        line.extend(self.log.to_command_line());
        line.extend(self.node.to_command_line());
        line.extend(self.application.to_command_line());
        line
    }
}

impl AdminArguments {
    fn to_command_line(&self) -> impl Iterator<Item = OsString> + use<> {
        let port = self.admin_port.map(|port| match port {
            AdminPort::Off => "off".to_owned(),
            AdminPort::Port(port) => port.to_string(),
        });
        port.map(|port| format!("--admin-port={port}").into()).into_iter()
    }
}

impl HttpArguments {
    /// Returns the options that were given. The program reads the environment itself.
    fn to_command_line(&self) -> impl Iterator<Item = OsString> + use<> {
        let host = self.host.map(|host| format!("--host={host}"));
        let port = self.port.map(|port| format!("--port={port}"));
        host.into_iter().chain(port).map(OsString::from)
    }
}

impl TlsArguments {
    fn to_command_line(&self) -> impl Iterator<Item = OsString> + use<> {
        let files = self.files();
        let cert = files.map(|files| format!("--tls-cert={}", files.cert));
        let key = files.map(|files| format!("--tls-key={}", files.key));
        cert.into_iter().chain(key).map(OsString::from)
    }
}

impl LogArguments {
    fn to_command_line(&self) -> impl Iterator<Item = OsString> + use<'_> {
        self.log.iter().map(|filter| format!("--log={filter}").into())
    }
}

impl ApplicationArguments {
    fn to_command_line(&self) -> impl Iterator<Item = OsString> + use<> {
        let file = self.file().map(|file| file.as_os_str().to_owned());
        let words: Vec<OsString> = positional(self.path(), None, &self.values()).collect();
        words.into_iter().chain(file)
    }
}

impl NodeArguments {
    fn to_command_line(&self) -> impl Iterator<Item = OsString> + use<'_> {
        let cpus = self.num_cpus.map(|count| format!("--num-cpus={count}"));
        let gpus = self.num_gpus.map(|count| format!("--num-gpus={count}"));
        let others = self.resources.iter();
        let others = others.map(|other| format!("--resource={}={}", other.name, other.amount));
        cpus.into_iter().chain(gpus).chain(others).map(OsString::from)
    }
}

impl ListArguments {
    /// Returns the arguments as a `list ...` command line.
    pub(crate) fn to_command_line(&self) -> Vec<OsString> {
        let mut line = vec!["list".into()];
        if self.json {
            line.push("--json".into());
        }
        line
    }
}

impl GraphArguments {
    /// Returns the arguments as a `graph ...` command line.
    pub(crate) fn to_command_line(&self) -> Vec<OsString> {
        let mut line = vec!["graph".into()];
        if self.json {
            line.push("--json".into());
        } else if let Some(format) = self.format.and_then(|format| format.to_possible_value()) {
            line.push(format!("--format={}", format.get_name()).into());
        }
        if let Some(file) = &self.output {
            line.extend(["--output".into(), file.into()]);
        }
        line.extend(self.application.to_command_line());
        line
    }
}

impl CallArguments {
    /// Returns the arguments as a `call ...` command line.
    pub(crate) fn to_command_line(&self) -> Vec<OsString> {
        let mut line = vec!["call".into()];
        line.extend(self.with.iter().map(|value| format!("--with={value}").into()));
        line.extend(self.model.iter().map(|id| format!("--model={id}").into()));
        line.extend(self.session.iter().map(|id| format!("--session={id}").into()));
        if let Some(timeout) = self.timeout {
            line.push(format!("--timeout={}", humantime::format_duration(timeout)).into());
        }
        if self.json {
            line.push("--json".into());
        }
        line.extend(self.log.to_command_line());
        line.extend(self.node.to_command_line());
        let (path, method) = match self.method() {
            Method::Of(path, method) => (path, Some(method)),
            Method::Alone(path) => (path, None),
        };
        line.extend(positional(Some(path), method, &self.values()));
        line
    }
}

/// Returns the positional arguments after a `--`, which allows a value to begin with a dash.
fn positional(
    path: Option<&ApplicationPath>,
    method: Option<&str>,
    values: &[Assignment],
) -> impl Iterator<Item = OsString> + use<> {
    let mut words = vec!["--".to_owned()];
    words.extend(path.map(ApplicationPath::to_string));
    words.extend(method.map(str::to_owned));
    words.extend(values.iter().map(Assignment::to_string));
    words.into_iter().map(OsString::from)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    enum Line {
        Run(RunArguments),
        List(ListArguments),
        Graph(GraphArguments),
        Call(CallArguments),
    }

    impl Line {
        fn read(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Self {
            let program = [OsString::from("serve")];
            let words = program.into_iter().chain(words.into_iter().map(Into::into));
            Self::try_parse_from(words).expect("a command line")
        }

        fn written(&self) -> Vec<OsString> {
            match self {
                Self::Run(arguments) => arguments.to_command_line(),
                Self::List(arguments) => arguments.to_command_line(),
                Self::Graph(arguments) => arguments.to_command_line(),
                Self::Call(arguments) => arguments.to_command_line(),
            }
        }
    }

    #[test]
    fn a_forwarded_command_line_is_parsed_to_the_same_arguments() {
        let lines: [&[&str]; 12] = [
            &["call", "greet", "name=Dora"],
            &["call", "hello:app", "greet"],
            &["run", "app"],
            &["run"],
            &["run", "greeting=Hi", "times=2", "--log", "warn,hyper=debug"],
            &["graph", "-o", "graph.md"],
            &["graph", "app", "--format", "json"],
            &[
                "run",
                "hello:app",
                "greeting=-1",
                "--host",
                "0.0.0.0",
                "--port",
                "0",
                "--tls-cert",
                "a certificate.pem",
                "--tls-key",
                "key.pem",
                "--name",
                "two words",
                "--route-prefix",
                "/math",
                "--open",
                "--num-cpus",
                "0.5",
                "--num-gpus",
                "2",
                "--resource",
                "npu=1",
                "--resource",
                "licence=0.25",
            ],
            &["list", "--json"],
            &["graph", "hello:app", "size=3", "--format", "svg", "-o", "graph.svg"],
            &["graph", "app", "--json"],
            &[
                "call",
                "hello:app",
                "greet",
                "name=Dora",
                "--with",
                "size=3",
                "--model",
                "small",
                "--session",
                "two words",
                "--timeout",
                "1m 30s",
                "--json",
                "--num-gpus",
                "1",
            ],
        ];
        for line in lines {
            let read = Line::read(line.iter().copied());
            let again = Line::read(read.written());
            assert_eq!(format!("{read:?}"), format!("{again:?}"));
        }
    }
}
