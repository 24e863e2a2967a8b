//! `run`: serves an application over HTTP until it is told to stop.

use std::io::ErrorKind;
use std::net::SocketAddr;

use serve_core::application::AnyApplication;
use serve_core::{Runtime, StartError};
use tracing_subscriber::filter::LevelFilter;

use super::banner::Banner;
use super::error::Error;
use super::stop::StopSignal;
use super::{browser, executor, logging, node, select, starting};
use crate::arguments::RunArguments;
use crate::{exit_code, output};

/// Runs the application that is meant.
pub(super) fn run(arguments: &RunArguments) -> Result<u8, Error> {
    logging::start(LevelFilter::INFO);
    let selected = select::application(&arguments.application.path)?;
    let mut application = select::build(selected, &arguments.application.values)?;
    if let Some(name) = &arguments.name {
        application = application.name(name);
    }
    if let Some(prefix) = &arguments.route_prefix {
        application = application.route_prefix(prefix);
    }
    executor::block_on(serve(arguments, selected.full_name(), application))
}

async fn serve(
    arguments: &RunArguments,
    name: String,
    application: AnyApplication,
) -> Result<u8, Error> {
    let mut stop = StopSignal::listen().map_err(Error::Runtime)?;
    // Before the port is opened: what is wrong with the graph is wrong on any port.
    let graph =
        application.graph().map_err(|source| Error::Graph { name: name.clone(), source })?;
    let address = SocketAddr::new(arguments.host, arguments.port);
    let runtime = node::builder(&arguments.node)
        .http(address)
        .start()
        .await
        .map_err(|error| not_listening(address, error))?;
    output::status("Starting", &name);
    // Nothing hangs on it: an application runs until it is deleted or the runtime ends.
    let _ingress = tokio::select! {
        deployed = runtime.run_any(application) => match deployed {
            Ok(ingress) => ingress,
            Err(error) => {
                runtime.shutdown().await;
                return Err(Error::not_deployed(name, error));
            }
        },
        () = stop.received() => return Ok(shut_down(&runtime, &mut stop).await),
        never = starting::narrate(&runtime, &graph, &arguments.node) => match never {},
    };

    let banner = Banner::new(&name, &graph, runtime.http_address().unwrap_or(address));
    output::status("Serving", &name);
    output::note(&banner);
    if arguments.open {
        browser::open(&banner.front_page());
    }
    stop.received().await;
    Ok(shut_down(&runtime, &mut stop).await)
}

/// Lets requests in progress end, unless one is told not to wait for them.
async fn shut_down(runtime: &Runtime, stop: &mut StopSignal) -> u8 {
    output::status("Stopping", "when the requests in progress have ended; Ctrl-C stops at once");
    tokio::select! {
        () = runtime.shutdown() => exit_code::OK,
        () = stop.received() => exit_code::INTERRUPTED,
    }
}

fn not_listening(address: SocketAddr, error: StartError) -> Error {
    match error {
        StartError::Listen { source, .. } if source.kind() == ErrorKind::AddrInUse => {
            Error::PortTaken { address }
        }
        StartError::Listen { source, .. } => Error::Address { address, source },
        other => Error::Runtime(std::io::Error::other(other)),
    }
}
