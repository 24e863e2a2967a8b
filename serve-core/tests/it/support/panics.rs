//! Panics that a test expects.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The message of the panic that `code` ends with. Panics if `code` does not.
pub(crate) fn panic_message<T>(code: impl FnOnce() -> T) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(code)) else { panic!("no panic") };
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&str>().expect("a message")).to_owned(),
    }
}
