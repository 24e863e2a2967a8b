//! [`MethodInfo`]: the description of a method, as plain data.

use std::time::Duration;

use serde::Serialize;

/// The description of a method, for people and for programs that call it by name.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MethodInfo {
    /// The method's name.
    pub name: &'static str,
    /// The first paragraph of the method's documentation.
    pub doc: &'static str,
    /// The method's parameters, in the order of its signature.
    pub params: &'static [ParamInfo],
    /// The names of the parameters, in the order of the signature.
    #[serde(skip)]
    pub param_names: &'static [&'static str],
    /// The return type as it is written in the source; empty if the method returns nothing.
    pub returns: &'static str,
    /// The HTTP method and path of the method's endpoint, if there is one.
    pub endpoint: Option<(&'static str, &'static str)>,
    /// True if the method returns a stream.
    pub streaming: bool,
}

/// One parameter of a method.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ParamInfo {
    /// The parameter's name.
    pub name: &'static str,
    /// The parameter's type, as it is written in the source.
    pub type_name: &'static str,
}

impl MethodInfo {
    /// The signature of the handle's method: `say_hello(name: String) -> String`.
    #[must_use]
    pub fn signature(&self) -> String {
        let params: Vec<_> = self
            .params
            .iter()
            .map(|param| format!("{}: {}", param.name, param.type_name))
            .collect();
        let returns = match self.returns {
            "" => String::new(),
            returns => format!(" -> {returns}"),
        };
        format!("{}({}){returns}", self.name, params.join(", "))
    }
}

/// The size and the waiting time of batches, and the number of batches that run at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// The largest total weight of a batch. Each item weighs 1 unless `batch_size_fn`
    /// says otherwise.
    pub max_batch_size: usize,
    /// The longest time for which the first item of a batch waits for others.
    pub batch_wait_timeout: Duration,
    /// The largest number of batches that run at a time on one replica.
    pub max_concurrent_batches: usize,
}
