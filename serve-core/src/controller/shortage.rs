//! [`Shortage`]: the reason why the replicas of an application can never have enough room, even if
//! everything else stops.

use std::fmt;

/// A resource that replicas reserve more of than exists in total, so that waiting cannot help.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Shortage {
    /// The option that requests too much: `num_cpus`, `num_gpus`, `memory`,
    /// `max_replicas_per_node`, or the name of another resource.
    pub resource: String,
    /// The replicas that together request too much.
    pub of: ShortageOf,
    /// The amount that the replicas reserve, in the option's unit; memory in bytes. Fractions of
    /// GPUs are rounded up to the number of GPUs that have room for them.
    pub needed: f64,
    /// The amount that exists in total.
    pub available: f64,
}

/// The replicas that a [`Shortage`] affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShortageOf {
    /// Each single replica of the deployment.
    Replica,
    /// This many replicas of the deployment together.
    Replicas(usize),
    /// All replicas of the application together.
    WholeApplication,
}

impl Shortage {
    /// Returns advice on how to resolve the shortage.
    #[must_use]
    pub fn remedy(&self) -> String {
        match &*self.resource {
            "max_replicas_per_node" => "raise it, or ask for fewer replicas".to_owned(),
            "num_cpus" | "num_gpus" | "memory" => format!(
                "lower its `{0}`, or give the runtime more with `Runtime::builder().{0}(..)`",
                self.resource
            ),
            other => format!(
                "lower its `{other}` in `resources`, or give the runtime more with \
                 `Runtime::builder().resource(\"{other}\", ..)`"
            ),
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, of, needed, available } = self;
        let (who, s) = match of {
            ShortageOf::Replica => ("it".to_owned(), "s"),
            ShortageOf::Replicas(1) => ("a replica of it".to_owned(), "s"),
            ShortageOf::Replicas(several) => (format!("{several} replicas of it"), ""),
            ShortageOf::WholeApplication => {
                ("the application up to this deployment".to_owned(), "s")
            }
        };
        if resource == "max_replicas_per_node" {
            return write!(
                f,
                "{needed} replicas are asked for, there is one node, and its \
                 `max_replicas_per_node` is {available}"
            );
        }
        let what = match &**resource {
            "num_cpus" if *needed == 1.0 => "CPU".to_owned(),
            "num_cpus" => "CPUs".to_owned(),
            "num_gpus" if *needed == 1.0 => "GPU".to_owned(),
            "num_gpus" => "GPUs".to_owned(),
            "memory" => "bytes of memory".to_owned(),
            other => format!("`{other}`"),
        };
        write!(f, "{who} need{s} {needed} {what}, and the node has {available}")
    }
}
