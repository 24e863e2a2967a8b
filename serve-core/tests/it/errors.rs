//! The contents of call errors, and their conversion by `?`.

use std::time::Duration;

use serve_core::prelude::*;

#[derive(Debug, thiserror::Error)]
#[error("no such port")]
struct NoPort(#[source] std::num::ParseIntError);

fn parse(text: &str) -> Result<u16, NoPort> {
    text.parse().map_err(NoPort)
}

/// An error of a user's own that wraps a call's.
#[derive(Debug, thiserror::Error)]
#[error("no answer from the model")]
struct NoAnswer(#[from] CallError<String>);

fn chain(error: &Error) -> Vec<&str> {
    error.chain().collect()
}

fn overloaded<E>() -> CallError<E> {
    CallError::Overloaded { queued: 3, limit: 3, retry_after: None }
}

fn unavailable<E>(started: bool) -> CallError<E> {
    CallError::Unavailable { deployment: "Leaf".to_owned(), started, reason: "gone".to_owned() }
}

/// The error that `?` makes of another error in a method.
fn raised<E: std::error::Error + Send + Sync + 'static>(error: E) -> Error {
    let method = || -> Result<()> {
        Err(error)?;
        Ok(())
    };
    method().unwrap_err()
}

#[test]
fn an_error_has_a_message_causes_and_a_status() {
    let error = Error::msg("no such paper");
    assert_eq!((error.to_string().as_str(), error.status()), ("no such paper", None));
    let error = error.with_status(404).context("cannot greet");
    assert_eq!(error.to_string(), "cannot greet");
    assert_eq!(format!("{error:#}"), "cannot greet: no such paper");
    assert_eq!(chain(&error), ["cannot greet", "no such paper"]);
    assert_eq!(error.status(), Some(404));
}

#[test]
fn standard_errors_convert_with_their_causes() {
    let method = || -> Result<u16> { Ok(parse("x")?) };
    let error = method().unwrap_err();
    assert_eq!(chain(&error), ["no such port", "invalid digit found in string"]);
    assert_eq!(error.status(), None);
    assert_eq!(chain(&raised(std::io::Error::other("disk"))), ["disk"]);
}

#[test]
fn errors_survive_serialization() {
    let error = raised(overloaded::<String>()).context("cannot greet");
    let sent = serde_json::to_string(&error).unwrap();
    let come: Error = serde_json::from_str(&sent).unwrap();
    assert_eq!(come, error);
    assert_eq!((come.status(), come.retry_after()), (Some(503), error.retry_after()));
}

#[test]
fn call_errors_are_standard_errors() {
    fn standard<E: std::error::Error + Send + Sync + Clone + PartialEq + 'static>() {}
    standard::<CallError>();
    standard::<CallError<String>>();
    standard::<CallError<Error>>();
}

#[test]
fn call_statuses_survive_the_question_mark() {
    assert_eq!(raised(overloaded::<Error>()).status(), Some(503));
    assert_eq!(raised(overloaded::<Error>()).retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(raised(unavailable::<String>(true)).status(), Some(503));
    assert_eq!(raised(CallError::<Error>::DeadlineExceeded).status(), Some(408));
    // Also inside an error of the user's own.
    assert_eq!(raised(NoAnswer(overloaded())).status(), Some(503));
    let late = raised(NoAnswer(CallError::DeadlineExceeded));
    assert_eq!(late.status(), Some(408));
    assert_eq!(chain(&late)[0], "no answer from the model");
    // What is nobody's business outside gets no status, so 500 without detail.
    assert_eq!(raised(CallError::<Error>::Panicked("secret".to_owned())).status(), None);
}

#[test]
fn causes_survive_the_question_mark() {
    let own = Error::msg("no such paper").with_status(404).context("cannot look it up");
    let error = raised(CallError::App(own));
    assert_eq!(error.status(), None);
    assert_eq!(chain(&error), ["cannot look it up", "no such paper"]);
    // Not even one that the callee had got from a call of its own.
    let passed_on = raised(CallError::App(raised(overloaded::<String>())));
    assert_eq!((passed_on.status(), passed_on.retry_after()), (None, None));
}

#[test]
fn failures_tell_whether_to_retry() {
    let rows: [(CallError<String>, bool, bool, u16); 10] = [
        (CallError::App("no".to_owned()), true, false, 500),
        (CallError::DeadlineExceeded, true, false, 408),
        (CallError::Cancelled, true, false, 499),
        (overloaded(), false, true, 503),
        (unavailable(false), false, true, 503),
        (unavailable(true), true, false, 503),
        (CallError::Panicked("no".to_owned()), true, false, 500),
        (CallError::ObjectLost, false, false, 503),
        (CallError::Codec("no".to_owned()), true, false, 500),
        (CallError::BlockingInAsync, true, false, 500),
    ];
    for (error, may_have_run, is_retryable, status) in rows {
        assert_eq!(error.may_have_run(), may_have_run, "{error:?}");
        assert_eq!(error.is_retryable(), is_retryable, "{error:?}");
        assert_eq!(error.status(), status, "{error:?}");
        assert!(!error.to_string().is_empty());
    }
}
