//! How values become bytes and come back, and how parameters are read by name.

pub(crate) mod arguments;
pub(crate) mod attachment;
mod message_pack;
pub(crate) mod payload;
pub(crate) mod text;
