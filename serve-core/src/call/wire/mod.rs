//! The encoding of values as bytes, and the reading of parameters by name.

pub(crate) mod arguments;
pub(crate) mod attachment;
pub(crate) mod echo;
pub(crate) mod finite;
mod message_pack;
pub(crate) mod payload;
pub(crate) mod text;
