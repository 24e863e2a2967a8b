use std::sync::Mutex;

use serve_core::routing::{Candidate, Candidates, RequestRouter, RoutedCall};

#[derive(Default)]
pub struct Sticky {
    last: Mutex<Option<Candidate<'static>>>,
}

impl RequestRouter for Sticky {
    fn choose<'a>(&self, _: &RoutedCall<'_>, candidates: &Candidates<'a>) -> Option<Candidate<'a>> {
        let chosen = candidates.random()?;
        *self.last.lock().unwrap() = Some(chosen);
        Some(chosen)
    }
}

fn main() {}
