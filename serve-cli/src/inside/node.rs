//! What replicas may reserve of this machine, as the command line has it.

use serve_core::{Runtime, RuntimeBuilder};

use crate::arguments::NodeArguments;

/// A runtime with what there is.
pub(super) fn builder(node: &NodeArguments) -> RuntimeBuilder {
    let mut builder = Runtime::builder();
    if let Some(cpus) = node.num_cpus {
        builder = builder.num_cpus(cpus);
    }
    if let Some(gpus) = node.num_gpus {
        builder = builder.num_gpus(gpus);
    }
    for resource in &node.resources {
        builder = builder.resource(&resource.name, resource.amount);
    }
    builder
}
