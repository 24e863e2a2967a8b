//! What is done with a whole tree before its keys are read.

use std::collections::BTreeMap;

use super::super::environment::{self, Variables};
use super::super::given::Reader;
use super::super::node::{Content, Node, Place, below};
use super::super::secrets::REDACTED;

impl Reader<'_> {
    /// Puts variables into the texts, and reports what no value may be: a duplicate key, a number
    /// that is not finite, and the placeholder of a secret.
    pub(super) fn prepare(&mut self, node: &mut Node, path: &str, env: Option<Variables<'_>>) {
        match &mut node.content {
            Content::Text(text) => {
                if let Some(env) = env {
                    match environment::substitute(text, env) {
                        Ok(None) => {}
                        Ok(Some(done)) => {
                            node.content = match &done.variable {
                                Some(_) if node.plain => environment::plain(&done.text),
                                _ => Content::Text(done.text),
                            };
                            node.variable = done.variable;
                        }
                        Err(faults) => {
                            for fault in faults {
                                self.fault(node.at, path, &fault);
                            }
                            node.content = Content::Broken;
                        }
                    }
                }
                if matches!(&node.content, Content::Text(text) if text == REDACTED) {
                    let message = format!(
                        "`{REDACTED}` stands for a secret that was not shown: put in the secret, or `${{NAME}}`"
                    );
                    self.fault(node.at, path, &message);
                    node.content = Content::Broken;
                }
            }
            Content::NotFinite(number) => {
                let message = format!("{number} is not a finite number");
                self.fault(node.at, path, &message);
                node.content = Content::Broken;
            }
            Content::List(nodes) => {
                for (n, node) in nodes.iter_mut().enumerate() {
                    self.prepare(node, &format!("{path}[{n}]"), env);
                }
            }
            Content::Map(entries) => {
                let mut first: BTreeMap<String, Place> = BTreeMap::new();
                entries.retain_mut(|entry| {
                    let path = below(path, &entry.key);
                    if let Some(place) = first.get(&entry.key) {
                        let place = place.line_and_column();
                        let place = place.map_or_else(String::new, |(line, _)| {
                            format!(", first in line {line}")
                        });
                        self.fault(
                            entry.at,
                            &path,
                            &format!("the key is given twice{place}: leave one out"),
                        );
                        return false;
                    }
                    first.insert(entry.key.clone(), entry.at);
                    self.prepare(&mut entry.node, &path, env);
                    true
                });
            }
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Broken => {}
        }
    }
}
