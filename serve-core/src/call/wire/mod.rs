//! The form in which values cross processes.

pub(crate) mod message_pack;
