//! [`Deploys`]: the current deploy of an application, and the outcomes of its last deploys.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::controller::error::DeployFailure;
use crate::controller::status::ApplicationStatus;

/// The number of ended deploys that are remembered for callers that wait for their outcomes.
const REMEMBERED: usize = 32;

/// The deploys of one application. Each deploy has a number. A deploy is requested, begins when
/// earlier deploys have released the application, and then succeeds, fails, or gives way to a newer
/// deploy or to the deletion.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Deploys {
    phase: Phase,
    /// The number of the deploy that was requested last.
    asked: u64,
    /// The last deploys that ended, except for those that gave way; the oldest first.
    ended: VecDeque<Ended>,
    /// True once the deletion of the application was requested. Deploys give way to the deletion.
    deletion_asked: bool,
    /// The failure of the last deploy, if it failed.
    failure: Option<Failure>,
}

/// The current phase of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// A deploy is in progress, or about to begin. `claims` is the route prefix that the
    /// application will have.
    Deploying {
        claims: Option<String>,
    },
    Settled,
    Deleting,
}

/// A deploy that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ended {
    number: u64,
    failure: Option<DeployFailure>,
}

/// The failure of a deploy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Failure {
    reason: DeployFailure,
    /// True if the first deploy failed and its running replicas serve.
    in_part: bool,
}

impl Default for Phase {
    fn default() -> Self {
        Self::Deploying { claims: None }
    }
}

impl Deploys {
    /// Requests a deploy with this number, which is greater than all earlier numbers.
    pub(crate) fn ask(&mut self, number: u64) {
        self.asked = number;
    }

    /// Requests the deletion of the application.
    pub(crate) fn ask_for_deletion(&mut self) {
        self.deletion_asked = true;
    }

    /// Returns `true` if the deletion of the application was requested.
    pub(crate) fn deletion_asked(&self) -> bool {
        self.deletion_asked
    }

    /// Returns `true` if the deploy with this number has to give way.
    pub(crate) fn gives_way(&self, number: u64) -> bool {
        self.deletion_asked || self.asked != number
    }

    /// Returns `true` if the deploy that was requested last has ended.
    pub(crate) fn all_ended(&self) -> bool {
        self.ended.back().is_some_and(|last| last.number == self.asked)
    }

    /// Returns the outcome of the deploy with this number, if the deploy has ended and did not give
    /// way.
    pub(crate) fn outcome(&self, number: u64) -> Option<Result<(), &DeployFailure>> {
        let ended = self.ended.iter().find(|ended| ended.number == number)?;
        Some(ended.failure.as_ref().map_or(Ok(()), Err))
    }

    /// Returns the reason why the last deploy failed, if it failed.
    pub(crate) fn failure(&self) -> Option<&DeployFailure> {
        self.failure.as_ref().map(|failure| &failure.reason)
    }

    /// Begins a deploy of a plan that claims this route prefix.
    pub(crate) fn begin(&mut self, claims: Option<&str>) {
        self.phase = Phase::Deploying { claims: claims.map(str::to_owned) };
    }

    /// Refuses a deploy that has not begun. The application stays as it was.
    pub(crate) fn refuse(&mut self, number: u64, reason: DeployFailure) {
        self.end(number, Some(reason));
    }

    /// Ends a deploy that succeeded: all of it runs.
    pub(crate) fn succeed(&mut self, number: u64) {
        self.end(number, None);
        self.failure = None;
    }

    /// Ends a deploy that failed, or that ends because the application is deleted. If `in_part` is
    /// true, the running replicas of the deploy serve.
    pub(crate) fn fail(&mut self, number: u64, reason: DeployFailure, in_part: bool) {
        self.end(number, Some(reason.clone()));
        self.failure = Some(Failure { reason, in_part });
    }

    fn end(&mut self, number: u64, failure: Option<DeployFailure>) {
        if self.ended.len() == REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back(Ended { number, failure });
        self.phase = Phase::Settled;
    }

    /// Makes a deploy give way to a newer one, which has not begun.
    pub(crate) fn give_way(&mut self) {
        self.phase = Phase::Deploying { claims: None };
    }

    /// Begins the deletion.
    pub(crate) fn delete(&mut self) {
        self.phase = Phase::Deleting;
    }

    /// Returns `true` if the application takes requests under the prefix of its plan.
    pub(crate) fn is_routed(&self) -> bool {
        self.phase != Phase::Deleting
    }

    /// Returns the prefix that the current deploy claims.
    pub(crate) fn claims(&self) -> Option<&str> {
        match &self.phase {
            Phase::Deploying { claims } => claims.as_deref(),
            Phase::Settled | Phase::Deleting => None,
        }
    }

    /// Returns the status of the application, given the combined status of its deployments.
    pub(crate) fn status(&self, deployments: ApplicationStatus) -> ApplicationStatus {
        match (&self.phase, &self.failure) {
            (Phase::Deleting, _) => ApplicationStatus::Deleting,
            (Phase::Deploying { .. }, _) => ApplicationStatus::Deploying,
            (Phase::Settled, None) => deployments,
            // The replicas that did not start were retried, and run now.
            (Phase::Settled, Some(Failure { in_part: true, .. }))
                if deployments == ApplicationStatus::Running =>
            {
                deployments
            }
            (Phase::Settled, Some(_)) => ApplicationStatus::DeployFailed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ApplicationStatus::{Deleting, DeployFailed, Deploying, Running, Unhealthy};

    fn no_model() -> DeployFailure {
        let error = crate::Error::msg("no model");
        DeployFailure::Constructor { deployment: "Llm".to_owned(), error }
    }

    #[test]
    fn an_application_is_deploying_until_its_deploy_ends() {
        let mut deploys = Deploys::default();
        assert_eq!(deploys.status(Running), Deploying, "before the first deploy begins");
        deploys.ask(1);
        assert!(!deploys.gives_way(1) && !deploys.all_ended() && deploys.outcome(1).is_none());
        deploys.begin(Some("/math"));
        assert_eq!((deploys.status(Running), deploys.claims()), (Deploying, Some("/math")));
        deploys.succeed(1);
        assert!(deploys.all_ended() && deploys.claims().is_none());
        assert_eq!(deploys.outcome(1), Some(Ok(())));
        assert_eq!(deploys.status(Unhealthy), Unhealthy, "its deployments say how it does");
    }

    #[test]
    fn a_failure_lasts_until_a_deploy_succeeds() {
        let mut deploys = Deploys::default();
        deploys.ask(1);
        deploys.begin(None);
        deploys.fail(1, no_model(), false);
        assert_eq!((deploys.status(Running), deploys.failure()), (DeployFailed, Some(&no_model())));
        deploys.ask(2);
        deploys.refuse(2, DeployFailure::Deleted);
        assert_eq!(deploys.status(Running), DeployFailed, "a refused one changes nothing");
        assert_eq!(deploys.outcome(2), Some(Err(&DeployFailure::Deleted)));
        deploys.ask(3);
        deploys.begin(None);
        deploys.succeed(3);
        assert_eq!((deploys.status(Running), deploys.failure()), (Running, None));
        assert_eq!(deploys.outcome(1), Some(Err(&no_model())), "who waits may ask late");
    }

    #[test]
    fn a_failure_in_part_ends_once_all_deployments_run() {
        let mut deploys = Deploys::default();
        deploys.ask(1);
        deploys.begin(None);
        deploys.fail(1, no_model(), true);
        assert_eq!(deploys.status(DeployFailed), DeployFailed);
        assert_eq!(deploys.status(Running), Running);
        assert!(deploys.failure().is_some(), "those who waited for the deploy hear of it");
    }

    #[test]
    fn a_deploy_gives_way_to_a_newer_one_and_to_the_deletion() {
        let mut deploys = Deploys::default();
        deploys.ask(1);
        deploys.ask(2);
        assert!(deploys.gives_way(1) && !deploys.gives_way(2));
        deploys.begin(Some("/"));
        deploys.give_way();
        assert_eq!((deploys.status(Running), deploys.claims()), (Deploying, None));
        assert!(!deploys.all_ended(), "giving way is no end");
        deploys.ask_for_deletion();
        assert!(deploys.gives_way(2));
        deploys.delete();
        assert_eq!(deploys.status(Running), Deleting);
        assert!(!deploys.is_routed());
    }

    #[test]
    fn only_the_last_ends_are_remembered() {
        let mut deploys = Deploys::default();
        for number in 1..100 {
            deploys.ask(number);
            deploys.succeed(number);
        }
        assert_eq!((deploys.ended.len(), deploys.outcome(1)), (REMEMBERED, None));
    }
}
