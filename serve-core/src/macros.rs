//! The bulk of what the attribute macros emit.
