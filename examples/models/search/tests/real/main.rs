//! With the real weights, which are fetched if they are not there.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod encoder;
mod found;
