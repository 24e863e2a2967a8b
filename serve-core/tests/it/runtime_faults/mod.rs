//! Faults of the runtime, each with its siblings: loads of models that run at once, methods that
//! compute past their deadline, records of large calls, replicas that panic because of their input.

#[cfg(feature = "http")]
mod late;
mod leftovers;
mod loads;
mod records;
mod replacements;
