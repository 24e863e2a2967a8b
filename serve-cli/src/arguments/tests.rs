//! What outside hands on must be what inside reads.

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
fn a_command_line_survives_being_handed_on() {
    let lines: [&[&str]; 6] = [
        &["run", "app"],
        &[
            "run",
            "hello:app",
            "greeting=-1",
            "--host",
            "0.0.0.0",
            "--port",
            "0",
            "--name",
            "two words",
            "--route-prefix",
            "/math",
            "--open",
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
            "--timeout",
            "1m 30s",
            "--json",
        ],
    ];
    for line in lines {
        let read = Line::read(line.iter().copied());
        let again = Line::read(read.written());
        assert_eq!(format!("{read:?}"), format!("{again:?}"));
    }
}

#[test]
fn localhost_is_an_address() {
    let Line::Run(arguments) = Line::read(["run", "app", "--host", "localhost"]) else {
        panic!("not `run`")
    };
    assert_eq!(arguments.host, IpAddr::V4(Ipv4Addr::LOCALHOST));
}
