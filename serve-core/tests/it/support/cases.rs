//! The number of cases that a test of random programs tries.

/// So many cases, times `SERVE_TEST_CASES` if that environment variable is set. By default few
/// cases are tried, for a short wait; CI sets the variable.
pub(crate) fn cases(number: u32) -> u32 {
    let factor = std::env::var("SERVE_TEST_CASES").map(|factor| factor.parse());
    number * factor.unwrap_or(Ok(1)).expect("`SERVE_TEST_CASES` is a whole number")
}
