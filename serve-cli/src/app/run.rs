//! `run`: serves an application over HTTP until it receives a signal to stop.

use std::net::SocketAddr;

use serve_core::StartError;
use serve_core::dynamic::{AnyApplication, Graph};
use serve_core::status::Status;
use tracing_subscriber::filter::LevelFilter;

use super::banner::Banner;
use super::error::Error;
use super::executor::{self, Workers};
use super::listening::{Listening, allow_many_connections, tell_ready, tell_stopping};
use super::node::Node;
use super::signals::Stop;
use super::{browser, logging, select};
use crate::arguments::{NotListening, RunArguments, TlsFiles, process_variables};
use crate::{exit_code, output};

/// Runs the selected application.
pub(super) fn run(arguments: &RunArguments) -> Result<u8, Error> {
    let listening = Listening::new(&arguments.http)?;
    let tls = arguments.tls.files();
    if let Some(files) = tls {
        // Said before anything is started.
        files.check()?;
    }
    // From here on, nothing waits for a reader of stderr: not a request, nor the signals.
    output::write_in_background().map_err(Error::Runtime)?;
    logging::start(arguments.log.filter(LevelFilter::INFO, &process_variables)?);
    allow_many_connections();
    let selected = select::application(arguments.application.path())?;
    let mut application = select::build(selected, &arguments.application.values())?;
    if let Some(name) = &arguments.name {
        application = application.name(name);
    }
    if let Some(prefix) = &arguments.route_prefix {
        application = application.route_prefix(prefix);
    }
    let name = selected.full_name();
    executor::block_on(async |workers| {
        serve(arguments, (listening, tls), &workers, name, application).await
    })
}

async fn serve(
    arguments: &RunArguments,
    (listening, tls): (Listening, Option<TlsFiles<'_>>),
    workers: &Workers,
    name: String,
    application: AnyApplication,
) -> Result<u8, Error> {
    let mut stop = Stop::listen().map_err(Error::Runtime)?;
    // Checked before the port is opened: an invalid graph is invalid on any port.
    let graph =
        application.graph().map_err(|source| Error::Graph { name: name.clone(), source })?;
    let address = listening.address();
    let node = Node::start(&arguments.node, workers, Some((listening, tls)))
        .await
        .map_err(|error| not_listening(address, tls, error))?;
    output::status("Starting", &name);
    tokio::select! {
        deployed = node.deploy(application, &graph) => if let Err(error) = deployed {
            node.shut_down().await;
            return Err(Error::not_deployed(name, error));
        },
        () = stop.requested() => return Ok(shut_down(&node, &graph).await),
    }

    let address = node.runtime().http_address().expect("the runtime listens");
    let banner = Banner::new(&name, &graph, address, tls.is_some());
    output::status("Serving", &name);
    output::note(&banner);
    tell_ready();
    if arguments.open {
        match banner.front_page() {
            Some(page) => browser::open(&page),
            None => output::warning("`--open`: the application has no page to open"),
        }
    }
    stop.requested().await;
    Ok(shut_down(&node, &graph).await)
}

/// Shuts down after the requests in progress have ended. A second signal ends the process at
/// once.
async fn shut_down(node: &Node<'_>, graph: &Graph) -> u8 {
    tell_stopping();
    let awaited = awaited(in_progress(&node.runtime().status(), graph));
    output::status("Stopping", format_args!("{awaited}; press Ctrl-C to stop at once"));
    node.shut_down().await;
    exit_code::OK
}

/// Returns the number of requests at the ingress, including those that wait for a replica.
fn in_progress(status: &Status, graph: &Graph) -> usize {
    let ingress = graph.deployments.iter().find(|node| node.ingress);
    let details = ingress.and_then(|ingress| {
        status.applications.get(&graph.application)?.deployments.get(&ingress.name)
    });
    details.map_or(0, |details| details.ongoing + details.queued)
}

fn awaited(requests: usize) -> String {
    match requests {
        0 => "the application".to_owned(),
        1 => "after the request in progress".to_owned(),
        several => format!("after {several} requests in progress"),
    }
}

fn not_listening(
    address: Option<SocketAddr>,
    tls: Option<TlsFiles<'_>>,
    error: StartError,
) -> Error {
    match (error, address, tls) {
        (StartError::Listen { source, .. }, Some(address), _) => {
            NotListening::new(address, source).into()
        }
        (StartError::Listener(source), _, _) => Error::PassedSocket(source),
        (StartError::Certificate(error), _, Some(files)) => files.error(error).into(),
        (other, _, _) => Error::Runtime(std::io::Error::other(other)),
    }
}
