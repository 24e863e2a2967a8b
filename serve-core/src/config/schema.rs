//! The JSON Schema of a configuration.
