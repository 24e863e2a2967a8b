//! The real `cargo serve`, on real packages.
//!
//! The first test to run builds the command and the fixtures' dependencies; the others
//! wait for that and find them built.

mod build;
mod call;
#[cfg(unix)]
mod configured;
mod features;
mod guide;
mod inspect;
mod mistakes;
mod new_and_eject;
mod output;
#[cfg(unix)]
mod packages;
mod published;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod stderr;
#[cfg(unix)]
mod target_directories;
#[cfg(unix)]
mod tls;
#[cfg(unix)]
mod watch;
