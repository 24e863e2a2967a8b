//! [`Outline`]: a plan as data, which can be stored and read in another process.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::app::Source;
use super::blueprints::BlueprintId;
use super::http_options::HttpOptions;
use super::plan::{Plan, PlanNode};
use crate::deployment::ContentHash;

/// A plan as data. The code of the plan is in the [`Blueprints`](super::Blueprints).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outline {
    pub(crate) blueprint: BlueprintId,
    /// The build that created the plan. Empty if no other process uses the store.
    pub(crate) build_id: String,
    pub(crate) route_prefix: Option<String>,
    pub(crate) http_options: Box<HttpOptions>,
    /// The route prefix, if the ingress has endpoints.
    pub(crate) claim: Option<String>,
    /// The registered application that the plan was built from.
    pub(crate) source: Option<Source>,
    /// The section of the configuration that describes the application, if there is one.
    #[serde(default)]
    pub(crate) section: Option<Box<Value>>,
    /// True if the numbers of replicas may be set from outside.
    #[serde(default)]
    pub(crate) external_scaler_enabled: bool,
    /// The deployments, callers before callees. The ingress is first.
    pub(crate) deployments: Vec<OutlineNode>,
}

/// One deployment of an [`Outline`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OutlineNode {
    pub(crate) name: String,
    pub(crate) type_name: String,
    /// The indices of the deployments that this deployment has handles of.
    pub(crate) calls: Vec<usize>,
    pub(crate) content: ContentHash,
}

impl Outline {
    pub(crate) fn of(blueprint: BlueprintId, build_id: &str, plan: &Plan) -> Self {
        let node = |node: &PlanNode| OutlineNode {
            name: node.name.clone(),
            type_name: node.deployment_type.type_name().to_owned(),
            calls: node.calls.clone(),
            content: node.content,
        };
        Self {
            blueprint,
            build_id: build_id.to_owned(),
            route_prefix: plan.route_prefix.clone(),
            http_options: Box::new(plan.http_options.clone()),
            claim: plan.claim().map(str::to_owned),
            source: plan.source.clone(),
            section: plan.section.clone().map(Box::new),
            external_scaler_enabled: plan.external_scaler_enabled,
            deployments: plan.nodes.iter().map(node).collect(),
        }
    }

    /// Returns the name of the ingress.
    pub(crate) fn ingress(&self) -> Option<&str> {
        self.deployments.first().map(|node| &*node.name)
    }

    pub(crate) fn has(&self, deployment: &str) -> bool {
        self.deployments.iter().any(|node| node.name == deployment)
    }

    /// Returns the indices of the deployments in tiers, in which each deployment has callers only
    /// in earlier tiers. Deployments stop in this order and start in the reverse order.
    pub(crate) fn tiers(&self) -> Vec<Vec<usize>> {
        let mut depth = vec![0; self.deployments.len()];
        for (place, node) in self.deployments.iter().enumerate() {
            for callee in &node.calls {
                depth[*callee] = depth[*callee].max(depth[place] + 1);
            }
        }
        let mut tiers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, depth) in depth.into_iter().enumerate() {
            tiers.entry(depth).or_default().push(place);
        }
        tiers.into_values().collect()
    }
}
