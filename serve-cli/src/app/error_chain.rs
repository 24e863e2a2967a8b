//! `serve_core::Error` as a standard error, so that each cause is shown on its own line.

use std::error::Error;
use std::fmt;

/// A message and its cause.
#[derive(Debug)]
pub(super) struct ErrorChain {
    message: String,
    cause: Option<Box<ErrorChain>>,
}

impl ErrorChain {
    /// Converts an error with all its causes.
    pub(super) fn of(error: &serve_core::Error) -> Box<dyn Error + Send + Sync> {
        let mut messages: Vec<&str> = error.chain().collect();
        let mut chain =
            Self { message: messages.pop().unwrap_or_default().to_owned(), cause: None };
        for message in messages.into_iter().rev() {
            chain = Self { message: message.to_owned(), cause: Some(Box::new(chain)) };
        }
        Box::new(chain)
    }
}

impl fmt::Display for ErrorChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ErrorChain {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_keep_their_order() {
        let error = serve_core::Error::msg("no such file").context("cannot load the model");
        let chain = ErrorChain::of(&error);
        assert_eq!(chain.to_string(), "cannot load the model");
        assert_eq!(chain.source().map(ToString::to_string).as_deref(), Some("no such file"));
    }
}
