//! Request routers that several tests name.

use serve_core::routing::{Candidate, Candidates, RequestRouter, RoutedCall};

/// Chooses the first candidate.
#[derive(Debug, Default)]
pub(crate) struct First;

impl RequestRouter for First {
    fn choose<'a>(&self, _: &RoutedCall<'_>, all: &Candidates<'a>) -> Option<Candidate<'a>> {
        all.iter().next()
    }
}
