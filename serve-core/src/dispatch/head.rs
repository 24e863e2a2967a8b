//! [`Head`]: on whose behalf a call is made, and until when.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::handle::HandleOptions;
use crate::call::deadline::Deadline;
use crate::call::request::Request;
use crate::clock;
use crate::replica::Scope;

/// On whose behalf a call is made, and until when.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) request: Request,
    pub(crate) deadline: Option<Arc<Deadline>>,
}

impl Head {
    /// The head of a call that is made now, here: part of the request that the running code
    /// serves, within that code's deadline. `default_timeout` holds for a call that brings no
    /// deadline of its own. The request has not begun if nothing is known of it.
    #[inline]
    pub(crate) fn here(
        options: Option<&HandleOptions>,
        default_timeout: Option<Duration>,
    ) -> Self {
        let request = Scope::current_request();
        let request = match options.and_then(|options| options.details.as_ref()) {
            Some(details) => request.with_options(details),
            None => request,
        };
        let caller = Scope::current_deadline();
        let timeout = options.and_then(|options| options.options.timeout);
        if caller.is_none() && timeout.is_none() && default_timeout.is_none() {
            return Self { request, deadline: None };
        }
        // A request from outside brings its deadline with it, for this very call.
        let brings_one = || {
            Scope::current(|scope| {
                scope.is_some_and(|scope| scope.is_outside() && scope.deadline().is_some())
            })
        };
        let timeout = timeout.or_else(|| default_timeout.filter(|_| !brings_one()));
        let own = timeout.and_then(|timeout| clock::after(Instant::now(), timeout));
        Self { request, deadline: Deadline::for_call(own, caller.as_ref()) }
    }
}
