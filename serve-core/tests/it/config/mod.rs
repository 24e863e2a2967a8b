//! Configuration files.

mod malformed;
