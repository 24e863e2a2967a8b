//! This process as a node: what the controller assigns to it is started, checked, reconfigured and
//! stopped here, and reported back.
//!
//! An [`Agent`] watches the assignments. Each deployment that the node has is a [`hosted`] loop,
//! which makes the replicas that there are what they are assigned to be. The [`NodeDirectory`]
//! knows the routers, by which handles and routes find deployments.

mod agent;
mod directory;
mod health;
mod hosted;
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
