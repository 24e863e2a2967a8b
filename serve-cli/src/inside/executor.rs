//! The tokio runtime under a command.

use std::future::Future;

use super::error::Error;

/// Runs a command to its end. What still runs then, such as a blocking method that no
/// longer matters, is not waited for.
pub(super) fn block_on(command: impl Future<Output = Result<u8, Error>>) -> Result<u8, Error> {
    if tokio::runtime::Handle::try_current().is_ok() {
        return Err(Error::InsideTokio);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("serve")
        .build()
        .map_err(Error::Runtime)?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn async_code_is_told_why_it_cannot_call_main() {
        let outcome = block_on(async { block_on(async { Ok(0) }) });
        assert!(matches!(outcome, Err(Error::InsideTokio)), "{outcome:?}");
    }
}
