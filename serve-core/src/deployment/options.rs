//! [`DeploymentOptions`]: what a deployment runs under, and which values make sense.

use std::time::Duration;

use thiserror::Error;

/// Options of a deployment. `None` means the default that each getter names.
///
/// `#[deployment(...)]` fills them, `Bound`'s methods override them, and
/// [`DeploymentOptions::check`] refuses what makes no sense before anything starts.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DeploymentOptions {
    /// The name in the application; default: the struct's name.
    pub name: Option<String>,
    /// See [`DeploymentOptions::num_replicas`].
    pub num_replicas: Option<usize>,
    /// See [`DeploymentOptions::max_ongoing_requests`].
    pub max_ongoing_requests: Option<usize>,
    /// Calls waiting for a replica, over the whole deployment; default: no limit.
    pub max_queued_requests: Option<usize>,
    /// The deadline of a call that brings none; default: none.
    pub request_timeout: Option<Duration>,
    /// CPUs of each replica; default 0. Sizes the threads of `#[blocking]` methods.
    pub num_cpus: Option<f64>,
    /// See [`DeploymentOptions::graceful_shutdown_timeout`].
    pub graceful_shutdown_timeout: Option<Duration>,
}

impl DeploymentOptions {
    /// Replicas: 1 unless set.
    #[must_use]
    pub fn num_replicas(&self) -> usize {
        self.num_replicas.unwrap_or(1)
    }

    /// Concurrent calls on each replica: 100 unless set (Ray Serve's own default is 5).
    #[must_use]
    pub fn max_ongoing_requests(&self) -> usize {
        self.max_ongoing_requests.unwrap_or(100)
    }

    /// How long a drained replica's calls may go on: 20 s unless set, as in Ray Serve.
    #[must_use]
    pub fn graceful_shutdown_timeout(&self) -> Duration {
        self.graceful_shutdown_timeout.unwrap_or(Duration::from_secs(20))
    }

    /// Threads for `#[blocking]` methods: `num_cpus` rounded up, at least one.
    #[must_use]
    pub fn compute_threads(&self) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be a small number that is not negative"
        )]
        let threads = self.num_cpus.unwrap_or(0.0).ceil() as usize;
        threads.max(1)
    }

    /// Refuses values that make no sense.
    ///
    /// # Errors
    /// The first option whose value is out of its range.
    pub fn check(&self) -> Result<(), OptionsError> {
        if let Some(name) = &self.name
            && (name.is_empty() || name.contains('#'))
        {
            return Err(OptionsError::Name(name.clone()));
        }
        for (option, value) in [
            ("num_replicas", self.num_replicas),
            ("max_ongoing_requests", self.max_ongoing_requests),
        ] {
            if value == Some(0) {
                return Err(OptionsError::Zero { option });
            }
        }
        if let Some(num_cpus) = self.num_cpus
            && !(0.0..=65_536.0).contains(&num_cpus)
        {
            return Err(OptionsError::Cpus(num_cpus));
        }
        Ok(())
    }
}

/// An option whose value makes no sense.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum OptionsError {
    /// The name is empty or holds a `#`.
    #[error("`name` is {0:?}: a deployment's name is not empty and has no `#`")]
    Name(String),
    /// A count that must be at least 1.
    #[error("`{option}` is 0: give at least 1")]
    Zero {
        /// The option.
        option: &'static str,
    },
    /// CPUs below zero, not finite, or absurdly many.
    #[error("`num_cpus` is {0}: give a number from 0 to 65536")]
    Cpus(f64),
}
