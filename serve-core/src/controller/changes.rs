//! [`Changes`]: the changes of the desired state, of which each has a number and the last ones are
//! remembered.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::serde_arc;
use crate::deployment::TargetCapacity;
use crate::time::Moment;

/// The number of changes that are remembered.
const REMEMBERED: usize = 50;

/// The changes of the desired state. Each has a revision, which is greater than all before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Changes {
    revision: u64,
    /// The last changes, the oldest first.
    last: VecDeque<ChangeRecord>,
    /// The configuration in effect, if one was applied.
    pub(crate) configuration: Option<AppliedConfiguration>,
}

/// A change of the desired state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChangeRecord {
    pub(crate) revision: u64,
    pub(crate) at: Moment,
    /// The person or program that made the change.
    pub(crate) by: String,
    /// The change, as a sentence.
    pub(crate) what: String,
    /// The configuration that was applied, if the change is one.
    pub(crate) configuration: Option<AppliedConfiguration>,
    /// Identifies a command that is sent again because its answer was lost.
    command: u64,
}

/// A configuration that was applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AppliedConfiguration {
    /// The applications and the target capacity, as they were submitted.
    #[serde(with = "serde_arc")]
    pub(crate) document: Arc<Value>,
    pub(crate) capacity: TargetCapacity,
}

impl AppliedConfiguration {
    /// Returns the configuration without an application, or `None` if it has no such application.
    pub(super) fn without(&self, application: &str) -> Option<Self> {
        let mut document = Value::clone(&self.document);
        let applications = document.get_mut("applications")?.as_array_mut()?;
        let before = applications.len();
        applications.retain(|it| it["name"] != application);
        (applications.len() < before).then(|| Self { document: document.into(), ..self.clone() })
    }
}

/// The origin of a change.
#[derive(Clone, Debug)]
pub(crate) struct ChangeOrigin {
    /// The person or program that makes the change.
    pub(crate) by: String,
    /// The change, as a sentence.
    pub(crate) what: String,
    /// The revision that the change is based on, if the change is refused for any other.
    pub(crate) expected: Option<u64>,
    /// A number that no other change has, or 0 for a change that is recognized in other ways.
    pub(crate) command: u64,
}

/// The effect that a deploy would have on a deployment or an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeployEffect {
    /// The deployment or application is new.
    Add,
    /// Running replicas stay as they are; their number or a limit changes.
    InPlace,
    /// Running replicas receive another user config.
    Reconfigure,
    /// Running replicas are replaced, a few at a time.
    Roll,
    /// The deployment or application stops.
    Delete,
}

impl ChangeOrigin {
    /// Returns the origin of a change that the program itself makes.
    pub(crate) fn program(what: String) -> Self {
        Self { by: "the program".to_owned(), what, expected: None, command: 0 }
    }
}

impl Changes {
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn last(&self) -> impl DoubleEndedIterator<Item = &ChangeRecord> {
        self.last.iter()
    }

    pub(super) fn record(
        &mut self,
        origin: ChangeOrigin,
        applied: Option<AppliedConfiguration>,
        at: Moment,
    ) {
        self.revision += 1;
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        let ChangeOrigin { by, what, command, .. } = origin;
        let revision = self.revision;
        if applied.is_some() {
            self.configuration.clone_from(&applied);
        }
        self.last.push_back(ChangeRecord {
            revision,
            at,
            by,
            what,
            configuration: applied,
            command,
        });
    }

    /// Returns the revision of a command that was already carried out.
    pub(super) fn revision_of(&self, command: u64) -> Option<u64> {
        let known = self.last.iter().find(|change| change.command == command && command != 0);
        known.map(|change| change.revision)
    }
}
