//! [`Plan`]: an application's graph as the controller deploys it, after its checks.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::app::{AnyApplication, Source};
use super::graph::{Graph, GraphNode};
use super::graph_error::GraphError;
use super::http_options::HttpOptions;
use crate::deployment::{AnyBound, BoundId, Content, ContentHash, DeploymentOptions, MadeRouter};
use crate::replica::{AnyDeployment, deployment_of};

/// A checked graph. Callers come before their callees; the ingress is first.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) application: String,
    pub(crate) route_prefix: Option<String>,
    pub(crate) http_options: HttpOptions,
    /// The registered application from which the plan was built.
    pub(crate) source: Option<Source>,
    /// The section of the configuration that describes the application, if there is one.
    pub(crate) section: Option<Value>,
    pub(crate) external_scaler_enabled: bool,
    pub(crate) nodes: Vec<PlanNode>,
}

/// One deployment of a [`Plan`].
#[derive(Clone, Debug)]
pub(crate) struct PlanNode {
    pub(crate) name: String,
    pub(crate) bound: AnyBound,
    pub(crate) deployment_type: Arc<dyn AnyDeployment>,
    /// The options of the attribute, overridden by those of the `Bound` and of the configuration.
    pub(crate) declared: DeploymentOptions,
    /// The declared options, with the number of replicas limited to the configured capacity.
    options: DeploymentOptions,
    /// The indices in the plan of the deployments that this deployment has handles of.
    pub(crate) calls: Vec<usize>,
    /// The constructor's arguments, as data.
    pub(crate) arguments: Vec<Argument>,
    /// The hash of the application's name and source and of the deployment's name, type, options
    /// and arguments: the same in every process.
    pub(crate) content: ContentHash,
    /// The custom request router, if the deployment has one. `None` in a new plan; a deploy creates
    /// the router before anything changes.
    pub(crate) request_router: Option<MadeRouter>,
}

/// A constructor's argument, as data that is the same in every process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Argument {
    /// A value that serde can serialize, by its hash.
    Value(ContentHash),
    /// Handles, by the names of their deployments, and the digests of a map's keys.
    Handles { deployments: Vec<String>, keys: Vec<u64> },
    /// A value that serde cannot serialize, or that can change while it is shared: by its type.
    Opaque { type_name: &'static str },
}

impl Argument {
    fn of(content: &Content, name: impl Fn(BoundId) -> String) -> Self {
        match content {
            Content::Value(hash) => Self::Value(*hash),
            Content::Handles { of, keys } => {
                let deployments = of.iter().map(|id| name(*id)).collect();
                Self::Handles { deployments, keys: keys.clone() }
            }
            Content::Opaque { type_name, .. } => Self::Opaque { type_name },
        }
    }
}

impl AnyApplication {
    /// Returns the deployments of the application and the calls between them.
    ///
    /// # Errors
    /// If the graph cannot be deployed, for example because an option is invalid or a name is used
    /// twice.
    pub fn graph(&self) -> Result<Graph, GraphError> {
        Plan::of(self, |_| false).map(|plan| plan.graph())
    }
}

impl PlanNode {
    pub(crate) fn options(&self) -> &DeploymentOptions {
        &self.options
    }

    /// Returns `true` if replicas of both nodes are constructed the same way, so that the replicas
    /// of `before` can stay. If both nodes come from one registered application with the same
    /// arguments, an argument that serde cannot serialize is compared by its type; otherwise it is
    /// compared by identity.
    pub(crate) fn is_made_like(&self, before: &Self, registered: bool) -> bool {
        let mut contents = self.bound.content().iter().zip(before.bound.content());
        let are_one = |(mine, theirs): (&Content, &Content)| match (mine, theirs) {
            (Content::Opaque { shared: mine, .. }, Content::Opaque { shared: theirs, .. }) => {
                !mine.is_empty() && mine == theirs
            }
            _ => true,
        };
        self.arguments == before.arguments
            && (registered || self.bound.is_of_one_bind(&before.bound) || contents.all(are_one))
    }

    /// Returns the maximum number of concurrent calls on each replica. The number is one if a
    /// method takes `&mut self`.
    pub(crate) fn slots(&self) -> usize {
        if self.deployment_type.is_exclusive() { 1 } else { self.options().max_ongoing_requests() }
    }
}

impl Plan {
    /// Walks the graph from its ingress. Deployments that are reachable only through deployments
    /// for which `leaf` returns true are omitted.
    pub(crate) fn of(
        application: &AnyApplication,
        leaf: impl Fn(&dyn AnyDeployment) -> bool,
    ) -> Result<Self, GraphError> {
        let name = &application.name;
        if name.is_empty() || name.contains('#') {
            return Err(GraphError::ApplicationName(name.clone()));
        }
        if let Some(prefix) = &application.route_prefix {
            check_prefix(prefix)?;
        }
        application.http_options.check_for_application().map_err(GraphError::HttpOptions)?;
        let mut walk = Walk { leaf, seen: HashMap::new(), callees_first: Vec::new() };
        walk.visit(&application.ingress);
        let mut order = walk.callees_first;
        order.reverse();
        let place: HashMap<BoundId, usize> =
            order.iter().enumerate().map(|(place, visited)| (visited.bound.id(), place)).collect();
        let names = names(name, &order)?;
        let named: HashMap<BoundId, String> =
            order.iter().zip(&names).map(|(it, name)| (it.bound.id(), name.clone())).collect();
        // Deployments that are reachable only through mocks have no place in the plan.
        let name_of = |id| named.get(&id).cloned().unwrap_or_default();
        let configured = application.configured.as_deref();
        let overrides = configured.map(|configured| &configured.overrides);
        if let Some(unknown) =
            overrides.iter().flat_map(|it| it.keys()).find(|it| !names.contains(it))
        {
            return Err(GraphError::UnknownDeployment {
                application: name.clone(),
                deployment: unknown.clone(),
                deployments: names,
            });
        }
        let mut nodes = Vec::with_capacity(order.len());
        for (visited, name) in order.into_iter().zip(names) {
            let Visited { bound, deployment_type } = visited;
            let layer = overrides.and_then(|overrides| overrides.get(&name));
            let declared = match layer {
                Some(layer) => bound.options().overridden_by(layer),
                None => bound.options().clone(),
            };
            declared
                .check()
                .map_err(|error| GraphError::Options { deployment: name.clone(), error })?;
            if application.external_scaler_enabled && declared.autoscaling.is_some() {
                return Err(GraphError::ScaledTwice { deployment: name });
            }
            let mut options = declared.clone();
            configured.map(|it| it.capacity).unwrap_or_default().limit(&mut options);
            check_user_config(&name, &bound, &options, &*deployment_type)?;
            let mut calls: Vec<usize> =
                bound.needs().iter().filter_map(|need| place.get(&need.id()).copied()).collect();
            calls.sort_unstable();
            calls.dedup();
            let arguments: Vec<Argument> =
                bound.content().iter().map(|content| Argument::of(content, name_of)).collect();
            let content = ContentHash::of(&json!({
                "application": application.name,
                "source": application.source,
                "name": name,
                "type": deployment_type.type_name(),
                "options": options,
                "arguments": arguments,
            }));
            let request_router = None;
            nodes.push(PlanNode {
                name,
                bound,
                deployment_type,
                declared,
                options,
                calls,
                arguments,
                content,
                request_router,
            });
        }
        Ok(Self {
            application: name.clone(),
            route_prefix: application.route_prefix.clone(),
            http_options: application.http_options.clone(),
            source: application.source.clone(),
            section: application.configured.as_ref().map(|it| it.section.clone()),
            external_scaler_enabled: application.external_scaler_enabled,
            nodes,
        })
    }

    /// Returns the deployment with this name.
    pub(crate) fn node(&self, deployment: &str) -> Option<&PlanNode> {
        self.nodes.iter().find(|node| node.name == deployment)
    }

    /// Returns the route prefix, if the ingress has endpoints: an ingress without endpoints claims
    /// no route.
    pub(crate) fn claim(&self) -> Option<&str> {
        self.nodes.first()?.deployment_type.http()?;
        self.route_prefix.as_deref()
    }

    /// Returns the graph of the plan, for people and programs to inspect.
    pub(crate) fn graph(&self) -> Graph {
        let node = |(place, node): (usize, &PlanNode)| {
            let options = node.options();
            GraphNode {
                name: node.name.clone(),
                type_name: node.deployment_type.type_name().to_owned(),
                num_replicas: options.num_replicas(),
                autoscaling: options.autoscaling.clone(),
                max_ongoing_requests: node.slots(),
                max_queued_requests: options.max_queued_requests,
                request_timeout: options.request_timeout,
                request_router: options.request_router.clone().unwrap_or_default().to_string(),
                num_cpus: options.num_cpus.unwrap_or_default(),
                num_gpus: options.num_gpus.unwrap_or_default(),
                memory: options.memory.unwrap_or_default(),
                resources: options.resources.clone(),
                options: options.clone(),
                calls: node.calls.iter().map(|callee| self.nodes[*callee].name.clone()).collect(),
                methods: node
                    .deployment_type
                    .methods()
                    .iter()
                    .map(|method| method.info())
                    .collect(),
                routes: node.deployment_type.routes(),
                content_hash: node.content,
                ingress: place == 0,
            }
        };
        Graph {
            application: self.application.clone(),
            route_prefix: self.route_prefix.clone(),
            deployments: self.nodes.iter().enumerate().map(node).collect(),
        }
    }
}

struct Visited {
    bound: AnyBound,
    deployment_type: Arc<dyn AnyDeployment>,
}

struct Walk<F> {
    leaf: F,
    seen: HashMap<BoundId, ()>,
    callees_first: Vec<Visited>,
}

impl<F: Fn(&dyn AnyDeployment) -> bool> Walk<F> {
    fn visit(&mut self, bound: &AnyBound) {
        if self.seen.insert(bound.id(), ()).is_some() {
            return;
        }
        let deployment_type = deployment_of(bound);
        if !(self.leaf)(&*deployment_type) {
            // In reverse, because the whole order is reversed at the end.
            for need in bound.needs().iter().rev() {
                self.visit(need);
            }
        }
        self.callees_first.push(Visited { bound: bound.clone(), deployment_type });
    }
}

/// The maximum nesting depth of a user config. JSON that is nested deeper than 128 levels can be
/// written but not read again, and a stored config is itself nested in a few more levels.
const DEEPEST: usize = 100;

/// Returns the nesting depth of a value.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(values) => 1 + values.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Checks that the deployment accepts its user config.
fn check_user_config(
    name: &str,
    bound: &AnyBound,
    options: &DeploymentOptions,
    deployment_type: &dyn AnyDeployment,
) -> Result<(), GraphError> {
    let refused =
        |reason: String| Err(GraphError::UserConfig { deployment: name.to_owned(), reason });
    if let Some(fault) = bound.fault() {
        return refused(fault.to_owned());
    }
    let Some(config) = &options.user_config else { return Ok(()) };
    if depth(config) > DEEPEST {
        return refused(format!("`user_config` is nested in more than {DEEPEST} levels"));
    }
    match deployment_type.check_user_config(config) {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => refused(format!("`user_config` does not fit: {error:#}")),
        None => refused(
            "it has a `user_config` but no method that takes one: mark a method with `#[reconfigure]`"
                .to_owned(),
        ),
    }
}

fn check_prefix(prefix: &str) -> Result<(), GraphError> {
    let slash_ends = prefix.ends_with('/') && prefix != "/";
    if !prefix.starts_with('/') || slash_ends || prefix.contains(['{', '}', '?', '#']) {
        return Err(GraphError::RoutePrefix(prefix.to_owned()));
    }
    Ok(())
}

/// Returns a name for each deployment. As in Ray Serve, the first deployment of a type has the
/// plain name, and further ones have the suffixes `_1`, `_2`. An explicit name is used unchanged.
fn names(application: &str, order: &[Visited]) -> Result<Vec<String>, GraphError> {
    let mut taken: HashMap<String, ()> = HashMap::new();
    for visited in order {
        if let Some(name) = visited.bound.given_name()
            && taken.insert(name.to_owned(), ()).is_some()
        {
            return Err(GraphError::DuplicateName {
                application: application.to_owned(),
                name: name.to_owned(),
            });
        }
    }
    let mut names = Vec::with_capacity(order.len());
    for visited in order {
        if let Some(name) = visited.bound.given_name() {
            names.push(name.to_owned());
            continue;
        }
        let base = visited.deployment_type.name();
        let numbered = (1..).map(|number| format!("{base}_{number}"));
        let name =
            std::iter::once(base.to_owned()).chain(numbered).find(|name| !taken.contains_key(name));
        let name = name.expect("the numbers do not end");
        taken.insert(name.clone(), ());
        names.push(name);
    }
    Ok(names)
}
