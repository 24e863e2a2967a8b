//! `run`: serves an application, or the applications of a configuration, over HTTP until it receives a
//! signal to stop.

use std::path::PathBuf;

use listenfd::ListenFd;
use serve_core::StartError;
use serve_core::config::{Config, Secret};
use serve_core::dynamic::{AnyApplication, Graph};
use serve_core::status::Status;
use tracing_subscriber::filter::LevelFilter;

use super::banner::Banner;
use super::error::Error;
use super::executor::{self, Workers};
use super::listening::{
    AdminListening, Listening, allow_many_connections, tell_ready, tell_stopping,
};
use super::node::{Node, Ports};
use super::signals::Stop;
use super::{browser, logging, select, serve_file};
use crate::arguments::{NotListening, RunArguments, TlsFiles, process_variables};
use crate::{exit_code, output, remote};

/// What is to be served.
enum Served {
    /// The configuration of this file.
    File(PathBuf),
    /// A registered application, by its full name.
    Application(String, Box<AnyApplication>),
}

/// Runs the selected application, or the applications of a configuration.
pub(super) fn run(arguments: &RunArguments) -> Result<u8, Error> {
    arguments.check()?;
    let file = arguments.application.file();
    let config = file.map(remote::read).transpose()?.unwrap_or_default();
    let config = with_layers(config, arguments)?;
    // Before other threads start, because the variables by which sockets are passed are removed.
    let mut passed = ListenFd::from_env();
    let http = Listening::new(&mut passed, config.http.address())?;
    let admin = AdminListening::new(&mut passed, &config.admin)?;
    let certificate = arguments.tls.or_configured(&config.http.options);
    let tls = certificate.files();
    if let Some(files) = tls {
        // Said before anything is started.
        files.check()?;
    }
    // From here on, nothing waits for a reader of stderr: not a request, nor the signals.
    output::write_in_background().map_err(Error::Runtime)?;
    let level = config.logging.level.as_deref();
    let filter = arguments.log.filter_or(level, LevelFilter::INFO, &process_variables)?;
    logging::start(filter, config.logging.format.unwrap_or_default());
    allow_many_connections();
    let served = match file {
        Some(file) => Served::File(file.to_owned()),
        None => {
            let selected = select::application(arguments.application.path())?;
            let mut application = select::build(selected, &arguments.application.values())?;
            if let Some(name) = &arguments.name {
                application = application.name(name);
            }
            if let Some(prefix) = &arguments.route_prefix {
                application = application.route_prefix(prefix);
            }
            Served::Application(selected.full_name(), Box::new(application))
        }
    };
    executor::block_on(async |workers| {
        let ports = Ports { http, admin, tls, config: &config };
        serve(arguments, ports, &workers, served).await
    })
}

/// Returns the configuration with the settings of the environment and of the command line, which
/// win over the file.
fn with_layers(mut config: Config, arguments: &RunArguments) -> Result<Config, Error> {
    let (host, port) = arguments.http.given(&process_variables)?;
    config.http.host = host.or(config.http.host);
    config.http.port = port.or(config.http.port);
    config.admin.port = arguments.admin.port(&process_variables)?.or(config.admin.port);
    if config.admin.token.is_none() {
        let token = std::env::var("SERVE_TOKEN").ok().filter(|token| !token.trim().is_empty());
        config.admin.token = token.map(|token| Secret::new(token.trim()));
    }
    Ok(config)
}

async fn serve(
    arguments: &RunArguments,
    ports: Ports<'_>,
    workers: &Workers,
    served: Served,
) -> Result<u8, Error> {
    let mut stop = Stop::listen().map_err(Error::Runtime)?;
    let (tls, config) = (ports.tls, ports.config.clone());
    let name = match &served {
        Served::File(file) => file.display().to_string(),
        Served::Application(name, _) => name.clone(),
    };
    // Checked before the ports are opened: an invalid graph is invalid on any port.
    let graph = match &served {
        Served::File(_) => None,
        Served::Application(name, application) => Some(
            application.graph().map_err(|source| Error::Graph { name: name.clone(), source })?,
        ),
    };
    let node = Node::start(&arguments.node, workers, Some(ports))
        .await
        .map_err(|error| not_listening(tls, error))?;
    output::status("Starting", &name);
    let deploy = async {
        match (served, graph) {
            (Served::Application(name, application), Some(graph)) => {
                let deployed = node.deploy(*application, &graph).await;
                deployed.map_err(|error| Error::not_deployed(name.clone(), error))?;
                Ok(vec![(name, graph)])
            }
            (Served::File(file), _) => {
                let graphs = serve_file::deploy(&node, &file, config).await?;
                let named = graphs.into_iter().map(|graph| (graph.application.clone(), graph));
                Ok(named.collect())
            }
            (Served::Application(..), None) => unreachable!("its graph was just made"),
        }
    };
    let deployed = tokio::select! {
        deployed = deploy => deployed,
        () = stop.requested() => return Ok(shut_down(&node).await),
    };
    let graphs = match deployed {
        Ok(graphs) => graphs,
        Err(error) => {
            node.shut_down().await;
            return Err(error);
        }
    };

    let address = node.runtime().http_address().expect("the runtime listens");
    let banner = Banner::new(&graphs, address, tls.is_some(), node.runtime().admin_address());
    output::status("Serving", &name);
    output::note(&banner);
    tell_ready();
    if arguments.open {
        match banner.front_page() {
            Some(page) => browser::open(&page),
            None => output::warning("`--open`: the application has no page to open"),
        }
    }
    tokio::select! {
        () = stop.requested() => {}
        () = node.runtime().shutdown_requested() => {}
    }
    Ok(shut_down(&node).await)
}

/// Shuts down after the requests in progress have ended. A second signal ends the process at
/// once.
async fn shut_down(node: &Node<'_>) -> u8 {
    tell_stopping();
    let runtime = node.runtime();
    let status = runtime.status();
    let awaited = awaited(in_progress(&status, |application| runtime.graph(application)));
    output::status("Stopping", format_args!("{awaited}; press Ctrl-C to stop at once"));
    node.shut_down().await;
    exit_code::OK
}

/// Returns the number of requests at the ingresses, including those that wait for a replica.
fn in_progress(status: &Status, graph: impl Fn(&str) -> Option<Graph>) -> usize {
    let requests = status.applications.iter().map(|(name, application)| {
        let graph = graph(name)?;
        let ingress = graph.deployments.iter().find(|node| node.ingress)?;
        let details = application.deployments.get(&ingress.name)?;
        Some(details.ongoing + details.queued)
    });
    requests.flatten().sum()
}

fn awaited(requests: usize) -> String {
    match requests {
        0 => "the application".to_owned(),
        1 => "after the request in progress".to_owned(),
        several => format!("after {several} requests in progress"),
    }
}

fn not_listening(tls: Option<TlsFiles<'_>>, error: StartError) -> Error {
    match (error, tls) {
        (StartError::Listen { address, source }, _) => NotListening::new(address, source).into(),
        (error @ StartError::Admin(_), _) => Error::Admin(Box::new(error)),
        (StartError::Listener(source), _) => Error::PassedSocket(source),
        (StartError::Certificate(error), Some(files)) => files.error(error).into(),
        (other, _) => Error::Runtime(std::io::Error::other(other)),
    }
}
