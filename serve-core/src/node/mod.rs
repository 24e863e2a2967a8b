//! This process as a node: starts, checks, reconfigures and stops what the controller assigns to
//! it, and reports back.
//!
//! An [`Agent`] watches the assignments. Each deployment on the node has a [`hosted_loop`] loop, which
//! drives the replicas towards their assignment. The [`NodeDirectory`] knows the routers, through
//! which handles and routes find deployments.

mod agent;
mod directory;
mod health;
mod hosted_deployment;
mod hosted_loop;
mod local_node;
mod replica_starter;
mod resources;
mod routes;
mod running_replica;
mod substitutes;
#[cfg(test)]
mod tests;

pub(crate) use agent::{Agent, OnRoutes};
pub(crate) use directory::NodeDirectory;
pub(crate) use resources::NodeResources;
#[cfg(feature = "http")]
pub(crate) use routes::Route;
pub(crate) use routes::Routes;
pub(crate) use substitutes::{NoSubstitutes, Substitutes};
