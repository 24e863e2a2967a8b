//! The list `deployments` of an application.

use std::collections::BTreeMap;

use super::super::data::DeploymentConfig;
use super::super::given::{Given, Reader};
use super::super::node::{Content, Node, Place, below};
use super::super::ray;
use super::super::secrets::user_config_key;
use super::is_misspelt;
use crate::deployment::table::spellings;
use crate::deployment::{AUTOSCALING, DeploymentOptions, OPTIONS, OptionFault, OptionsError};

impl Reader<'_> {
    pub(super) fn deployments(
        &mut self,
        one: &Given<'_>,
        application: &str,
        external_scaler: bool,
    ) -> Vec<DeploymentConfig> {
        let Content::List(nodes) = &one.node.content else {
            if !one.node.is_null() {
                self.expected(one.node, &one.path, "a list of deployments");
            }
            return Vec::new();
        };
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        let mut deployments = Vec::new();
        for (n, node) in nodes.iter().enumerate() {
            let path = format!("{}[{n}]", one.path);
            if !matches!(node.content, Content::Map(_)) {
                self.expected(node, &path, "a map with `name` and options");
                continue;
            }
            let Some((deployment, at)) = self.deployment(node, &path, application, external_scaler)
            else {
                continue;
            };
            if let Some(other) = names.insert(deployment.name.clone(), n) {
                let message = format!(
                    "`{}[{other}]` has the name {:?} too: put the options of a deployment into one \
                     place",
                    one.path, deployment.name
                );
                self.fault(at, &below(&path, "name"), &message);
            }
            deployments.push(deployment);
        }
        deployments
    }

    /// Reads the options of a deployment. Returns the place of the name, too.
    fn deployment(
        &mut self,
        node: &Node,
        path: &str,
        application: &str,
        external_scaler: bool,
    ) -> Option<(DeploymentConfig, Place)> {
        let given = self.deployment_given(node, path);
        let (mut options, broken) = self.options(&given, node.at, path, DeploymentOptions::read);
        if let Some(router) = ray::request_router(self, node, path) {
            options.request_router = Some(router);
        }
        let spurious = |fault: &OptionFault| {
            broken.iter().any(|name| fault.message.contains(&format!("`{name}`")))
        };
        for error in options.errors() {
            // The layers below may have `autoscaling`.
            if error == OptionsError::PolicyWithoutAutoscaling {
                continue;
            }
            let fault = error.at_its_option();
            if !spurious(&fault) {
                self.option_fault(&given, node.at, path, fault);
            }
        }
        let autoscaled = given.iter().find(|one| match one.name {
            "autoscaling" => !one.node.is_null(),
            "num_replicas" => matches!(&one.node.content, Content::Text(text) if text == "auto"),
            _ => false,
        });
        if let (true, Some(one)) = (external_scaler, autoscaled) {
            let message = "the application has `external_scaler_enabled`: leave out either that or the \
                           autoscaling";
            self.fault(one.at, &one.path, message);
        }
        let Some(name) = given.iter().find(|one| one.name == "name") else {
            if !is_misspelt(node, "name") {
                let message = "is missing: name the deployment that the options are for";
                self.fault(node.at, &below(path, "name"), message);
            }
            return None;
        };
        if let Some(given) = given.iter().find(|one| one.name == "user_config") {
            let name = options.name.as_deref().unwrap_or_default();
            self.remember(given.node, &user_config_key(application, name));
        }
        match options.name.take() {
            Some(text) => Some((DeploymentConfig { name: text, options }, name.value_at())),
            None => {
                if name.node.is_null() {
                    self.expected(name.node, &name.path, "the name of a deployment");
                }
                None
            }
        }
    }

    /// Sorts the entries of a deployment by the options that they give.
    fn deployment_given<'n>(&mut self, node: &'n Node, path: &str) -> Vec<Given<'n>> {
        let known = spellings(&OPTIONS);
        let mut reserved = Vec::new();
        let entries = self.section(node, path, "a map");
        let mut given =
            self.sift(entries, path, &known, &[ray::ACTOR_OPTIONS], |reader, entry, path| {
                if entry.key == ray::ACTOR_OPTIONS {
                    reserved.push((entry, path.to_owned()));
                    return true;
                }
                ray::deployment_key(reader, entry, path)
            });
        for (entry, path) in reserved {
            ray::actor_options(self, entry, &path, &known, &mut given);
        }
        for one in given.iter_mut().filter(|one| one.name == "autoscaling") {
            if one.node.is_null() || one.node.is_broken() {
                continue;
            }
            let entries = self.section(one.node, &one.path, "a map of options");
            let known = spellings(&AUTOSCALING);
            let children = self.sift(entries, &one.path, &known, &[], ray::autoscaling_key);
            one.children = Some(children);
        }
        given
    }
}
