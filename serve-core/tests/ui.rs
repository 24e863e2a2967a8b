//! What the compiler says of each mistake: one fault a file, and its whole output beside it.
//!
//! After a change of a message, `TRYBUILD=overwrite cargo test -p serve-core --test ui`
//! writes the outputs anew; read them as somebody who sees Serve for the first time.

#[test]
fn every_mistake_has_one_clear_error() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/*.rs");
}
