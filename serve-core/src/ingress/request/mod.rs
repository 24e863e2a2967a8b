//! A request on its way in: its head, its body, and the arguments in both.

pub(crate) mod body;
pub(crate) mod decoding;
pub(crate) mod form;
pub(crate) mod forwarded;
pub(crate) mod head_values;
pub(crate) mod host;
pub(crate) mod incoming;
pub(crate) mod metadata;
pub(crate) mod parameters;
pub(crate) mod schema_words;
