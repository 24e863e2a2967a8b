//! `call`: runs an application in this process, calls one method of its ingress and
//! prints the result. No port is opened.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use serve_core::CallOptions;
use serve_core::config::LogFormat;
use serve_core::dynamic::{AnyApplication, Graph};
use serve_core::dynamic::{AnyHandle, ByNameError, MethodInfo};
use tracing_subscriber::filter::LevelFilter;

use super::error::Error;
use super::executor::{self, Workers};
use super::node::Node;
use super::signals::Stop;
use super::{logging, select};
use crate::arguments::{Assignment, CallArguments, process_variables};
use crate::{exit_code, output, suggest};

/// Argument texts by parameter name. A list has several texts.
type Values = BTreeMap<String, Vec<String>>;

/// Calls the selected method.
pub(super) fn run(arguments: &CallArguments) -> Result<u8, Error> {
    output::write_in_background().map_err(Error::Runtime)?;
    // The output of the command is the result, not its logs.
    let filter = arguments.log.filter(LevelFilter::WARN, &process_variables)?;
    logging::start(filter, LogFormat::Text);
    let (selected, method) = select::method(arguments.method())?;
    let application = select::build(selected, &arguments.with)?;
    let name = selected.full_name();
    let call = Call::of(arguments, method);
    executor::block_on(async |workers| run_call(arguments, call, &workers, name, application).await)
}

async fn run_call(
    arguments: &CallArguments,
    call: Call,
    workers: &Workers,
    name: String,
    application: AnyApplication,
) -> Result<u8, Error> {
    let mut stop = Stop::listen().map_err(Error::Runtime)?;
    let graph =
        application.graph().map_err(|source| Error::Graph { name: name.clone(), source })?;
    // Replicas may take long to start: a typing mistake is reported before that.
    application.check_call(&call.method, &call.values).map_err(|error| {
        let ingress = graph.deployments.iter().find(|node| node.ingress);
        let methods = ingress.map_or(&[][..], |node| &node.methods);
        call.refused(error, &name, methods)
    })?;
    let node = Node::start(&arguments.node, workers, None)
        .await
        .map_err(|error| Error::Runtime(std::io::Error::other(error)))?;
    let work = async {
        let outcome = deploy_and_call(&node, call, arguments.timeout, name, application, &graph);
        let outcome = outcome.await;
        node.shut_down().await;
        outcome
    };
    tokio::select! {
        outcome = work => outcome,
        () = stop.requested() => Ok(exit_code::INTERRUPTED),
    }
}

async fn deploy_and_call(
    node: &Node<'_>,
    call: Call,
    timeout: Option<Duration>,
    name: String,
    application: AnyApplication,
    graph: &Graph,
) -> Result<u8, Error> {
    let deployed = node.deploy(application, graph).await;
    let ingress = deployed.map_err(|error| Error::not_deployed(name.clone(), error))?;
    let method = call.method.clone();
    let printed = node.workers().run(call.print_all(name, ingress));
    match timeout {
        None => printed.await,
        Some(timeout) => tokio::time::timeout(timeout, printed)
            .await
            .unwrap_or(Err(Error::TimedOut { method, timeout })),
    }
}

/// A call as given on the command line.
#[derive(Debug)]
struct Call {
    method: String,
    values: Values,
    options: CallOptions,
    json: bool,
}

impl Call {
    fn of(arguments: &CallArguments, method: String) -> Self {
        let mut values = Values::new();
        for Assignment { key, value } in arguments.values() {
            values.entry(key).or_default().push(value);
        }
        let mut options = CallOptions::new();
        options.multiplexed_model_id.clone_from(&arguments.model);
        options.session_id.clone_from(&arguments.session);
        Self { method, values, options, json: arguments.json }
    }

    /// Makes the call and prints each result as it arrives.
    async fn print_all(self, application: String, ingress: AnyHandle) -> Result<u8, Error> {
        let methods = ingress.methods();
        let results = ingress
            .options(self.options.clone())
            .call_to_json(&self.method, &self.values)
            .map_err(|error| self.refused(error, &application, &methods))?;
        let called = methods.iter().find(|method| method.name == self.method);
        let returns_nothing = called.is_some_and(|method| method.returns.is_empty());
        let mut results = pin!(results);
        while let Some(result) = results.next().await {
            let json = result.map_err(|source| Error::Call {
                method: self.method.clone(),
                source: Box::new(source),
            })?;
            if self.json || !returns_nothing {
                output::result(shown(json, self.json))?;
            }
        }
        Ok(exit_code::OK)
    }

    /// Converts the error of a call that cannot be made.
    fn refused(&self, error: ByNameError, application: &str, methods: &[MethodInfo]) -> Error {
        let called = methods.iter().find(|method| method.name == self.method);
        match error {
            ByNameError::UnknownMethod { deployment, method, .. } => Error::UnknownMethod {
                application: application.to_owned(),
                help: other_methods(&method, methods),
                deployment,
                method: output::name(&method),
            },
            error => Error::BadArgument {
                what: format!("the method `{}`", output::name(&self.method)),
                problem: problem(&error, &self.values),
                help: called.map_or_else(String::new, |method| {
                    format!("its signature is `{}`", method.signature())
                }),
            },
        }
    }
}

/// Formats a result, given as JSON on one line: a string as plain text unless `as_json` is set, and
/// other values as they are.
fn shown(json: String, as_json: bool) -> String {
    if as_json || !json.starts_with('"') {
        return json;
    }
    serde_json::from_str(&json).unwrap_or(json)
}

fn problem(error: &ByNameError, values: &Values) -> String {
    match error {
        ByNameError::UnknownParameter { parameter, known, .. } => {
            let near = suggest::did_you_mean(parameter, known.iter().copied());
            let near = near.map(|near| format!("; {near}")).unwrap_or_default();
            format!("unknown parameter `{}`{near}", output::name(parameter))
        }
        ByNameError::Argument(fault) if !values.contains_key(fault.name) => {
            format!("`{}` is missing", fault.name)
        }
        error => error.to_string(),
    }
}

fn other_methods(name: &str, methods: &[MethodInfo]) -> String {
    let near = suggest::did_you_mean(name, methods.iter().map(|method| method.name));
    let near = near.map(|near| format!("{near} ")).unwrap_or_default();
    if methods.is_empty() {
        return "the ingress has no methods".to_owned();
    }
    let signatures = methods.iter().map(|method| format!("\n  {}", method.signature()));
    format!("{near}the ingress has{}", signatures.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_plain_unless_json_is_asked_for() {
        let text = r#""Hola \"Dora\"""#;
        assert_eq!(shown(text.to_owned(), false), "Hola \"Dora\"");
        assert_eq!(shown(text.to_owned(), true), text);
        assert_eq!(shown(r#"{"a":[1,2]}"#.to_owned(), false), r#"{"a":[1,2]}"#);
    }
}
