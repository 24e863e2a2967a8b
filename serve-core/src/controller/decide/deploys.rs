//! [`Deploys`]: which deploy of an application is under way, and how the last one ended.

use serde::{Deserialize, Serialize};

use crate::controller::status::ApplicationStatus;

/// The deploys of one application. A deploy has a number. It is asked for, begins when those
/// before it have let go, and succeeds, fails, or gives way to a newer one or to the deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deploys {
    phase: Phase,
    /// The number of the deploy that was asked for last.
    asked: u64,
    /// The number of the last deploy that ended, other than by giving way.
    ended: u64,
    /// True once the application is to be deleted, which deploys give way to.
    deletion_asked: bool,
    /// Why the last deploy failed, if it did.
    failure: Option<Failure>,
}

/// The step that an application is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// A deploy is under way, or about to begin. The route prefix is the one that the application
    /// will have.
    Deploying {
        claims: Option<String>,
    },
    Settled,
    Deleting,
}

/// The failure of a deploy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Failure {
    reason: String,
    /// True if it was the first deploy, and the replicas of it that run serve.
    in_part: bool,
}

impl Default for Phase {
    fn default() -> Self {
        Self::Deploying { claims: None }
    }
}

impl Deploys {
    /// A deploy is asked for. Returns its number.
    pub(crate) fn ask(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// The application is to be deleted.
    pub(crate) fn ask_for_deletion(&mut self) {
        self.deletion_asked = true;
    }

    /// True if the application is to be deleted.
    pub(crate) fn deletion_asked(&self) -> bool {
        self.deletion_asked
    }

    /// True if the deploy of this number has to give way.
    pub(crate) fn gives_way(&self, number: u64) -> bool {
        self.deletion_asked || self.asked != number
    }

    /// True if no deploy was asked for after this one.
    pub(crate) fn is_newest(&self, number: u64) -> bool {
        self.asked == number
    }

    /// True if the deploy that was asked for last has ended.
    pub(crate) fn all_ended(&self) -> bool {
        self.ended == self.asked
    }

    /// Why the last deploy that ended failed, if it did.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_ref().map(|failure| &*failure.reason)
    }

    /// A deploy begins, of a plan that claims this route prefix.
    pub(crate) fn begin(&mut self, claims: Option<&str>) {
        self.phase = Phase::Deploying { claims: claims.map(str::to_owned) };
    }

    /// A deploy is refused before it began. The application is as it was.
    pub(crate) fn refuse(&mut self, number: u64) {
        self.ended = number;
        self.phase = Phase::Settled;
    }

    /// A deploy succeeds: all of it runs.
    pub(crate) fn succeed(&mut self, number: u64) {
        self.ended = number;
        self.phase = Phase::Settled;
        self.failure = None;
    }

    /// A deploy fails, or ends with the application. `in_part`, the replicas of it that run serve.
    pub(crate) fn fail(&mut self, number: u64, reason: String, in_part: bool) {
        self.ended = number;
        self.phase = Phase::Settled;
        self.failure = Some(Failure { reason, in_part });
    }

    /// A deploy gives way to a newer one, which has not begun.
    pub(crate) fn give_way(&mut self) {
        self.phase = Phase::Deploying { claims: None };
    }

    /// The deletion begins.
    pub(crate) fn delete(&mut self) {
        self.phase = Phase::Deleting;
    }

    /// True if the application takes requests below the prefix of its plan.
    pub(crate) fn is_routed(&self) -> bool {
        self.phase != Phase::Deleting
    }

    /// The prefix that the deploy which is under way claims.
    pub(crate) fn claims(&self) -> Option<&str> {
        match &self.phase {
            Phase::Deploying { claims } => claims.as_deref(),
            Phase::Settled | Phase::Deleting => None,
        }
    }

    /// The application's status, given that of its deployments together.
    pub(crate) fn status(&self, deployments: ApplicationStatus) -> ApplicationStatus {
        match (&self.phase, &self.failure) {
            (Phase::Deleting, _) => ApplicationStatus::Deleting,
            (Phase::Deploying { .. }, _) => ApplicationStatus::Deploying,
            (Phase::Settled, None) => deployments,
            // Replicas that did not start were tried again, and run now.
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

    #[test]
    fn an_application_is_deploying_until_its_deploy_ends() {
        let mut deploys = Deploys::default();
        assert_eq!(deploys.status(Running), Deploying, "before the first deploy begins");
        let number = deploys.ask();
        assert!(deploys.is_newest(number) && !deploys.gives_way(number) && !deploys.all_ended());
        deploys.begin(Some("/math"));
        assert_eq!((deploys.status(Running), deploys.claims()), (Deploying, Some("/math")));
        deploys.succeed(number);
        assert!(deploys.all_ended() && deploys.claims().is_none());
        assert_eq!(deploys.status(Unhealthy), Unhealthy, "its deployments say how it does");
    }

    #[test]
    fn a_failure_lasts_until_a_deploy_succeeds() {
        let mut deploys = Deploys::default();
        let first = deploys.ask();
        deploys.begin(None);
        deploys.fail(first, "no model".to_owned(), false);
        assert_eq!((deploys.status(Running), deploys.failure()), (DeployFailed, Some("no model")));
        let refused = deploys.ask();
        deploys.refuse(refused);
        assert_eq!(deploys.status(Running), DeployFailed, "a refused one changes nothing");
        let second = deploys.ask();
        deploys.begin(None);
        deploys.succeed(second);
        assert_eq!((deploys.status(Running), deploys.failure()), (Running, None));
    }

    #[test]
    fn a_failure_in_part_ends_once_all_deployments_run() {
        let mut deploys = Deploys::default();
        let number = deploys.ask();
        deploys.begin(None);
        deploys.fail(number, "no licence".to_owned(), true);
        assert_eq!(deploys.status(DeployFailed), DeployFailed);
        assert_eq!(deploys.status(Running), Running);
        assert!(deploys.failure().is_some(), "those who waited for the deploy hear of it");
    }

    #[test]
    fn a_deploy_gives_way_to_a_newer_one_and_to_the_deletion() {
        let mut deploys = Deploys::default();
        let (first, second) = (deploys.ask(), deploys.ask());
        assert!(deploys.gives_way(first) && !deploys.gives_way(second));
        deploys.begin(Some("/"));
        deploys.give_way();
        assert_eq!((deploys.status(Running), deploys.claims()), (Deploying, None));
        assert!(!deploys.all_ended(), "giving way is no end");
        deploys.ask_for_deletion();
        assert!(deploys.gives_way(second) && deploys.is_newest(second));
        deploys.delete();
        assert_eq!(deploys.status(Running), Deleting);
        assert!(!deploys.is_routed());
    }

    #[test]
    fn what_is_known_survives_a_restart_of_the_controller() {
        let mut deploys = Deploys::default();
        let number = deploys.ask();
        deploys.begin(Some("/"));
        deploys.fail(number, "no model".to_owned(), true);
        let written = serde_json::to_string(&deploys).expect("JSON");
        assert_eq!(serde_json::from_str::<Deploys>(&written).expect("its own words"), deploys);
    }
}
