//! The resources of this machine that replicas may reserve.

use std::thread;

use clap::Args;

/// The resources that replicas may reserve, where they differ from the machine's own.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct NodeArguments {
    /// The CPUs that replicas may reserve, instead of all that this process may use
    #[arg(long, value_name = "COUNT", value_parser = amount)]
    pub(crate) num_cpus: Option<f64>,

    /// The GPUs that replicas may reserve; GPUs are not detected
    #[arg(long, value_name = "COUNT", value_parser = whole)]
    pub(crate) num_gpus: Option<usize>,

    /// The amount of another resource that replicas may reserve; may be repeated
    #[arg(long = "resource", value_name = "NAME=AMOUNT", value_parser = resource)]
    pub(crate) resources: Vec<Resource>,
}

impl NodeArguments {
    /// Returns the number of CPUs that replicas may reserve. The default is the number that this
    /// process may use, and at least 2, so that a small application runs in a small container.
    pub(crate) fn cpus(&self) -> f64 {
        let here = || thread::available_parallelism().map_or(1, usize::from).max(2);
        self.num_cpus.unwrap_or_else(|| f64::from(u32::try_from(here()).unwrap_or(u32::MAX)))
    }
}

/// A named resource and its amount.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resource {
    pub(crate) name: String,
    pub(crate) amount: f64,
}

fn amount(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|amount: &f64| amount.is_finite() && *amount >= 0.0)
        .ok_or_else(|| "expected a number of at least 0, as in `4` or `0.5`".to_owned())
}

fn whole(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| {
        "expected a whole number, as in `2`: a replica may reserve a part of a GPU, but a machine \
         has whole GPUs"
            .to_owned()
    })
}

fn resource(text: &str) -> Result<Resource, String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| "expected NAME=AMOUNT, as in `npu=2`".to_owned())?;
    Ok(Resource { name: name.to_owned(), amount: amount(value)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_numbers_of_at_least_zero() {
        let npu = Resource { name: "npu".to_owned(), amount: 1.5 };
        assert_eq!(resource("npu=1.5"), Ok(npu));
        assert_eq!(whole("2"), Ok(2));
        for nonsense in ["1.5", "-1", "many"] {
            let error = whole(nonsense).expect_err("no count");
            assert!(error.starts_with("expected a whole number"), "{error}");
        }
        for nonsense in ["npu", "=1", "npu=-1", "npu=inf", "npu=many"] {
            assert!(resource(nonsense).is_err(), "{nonsense}");
        }
    }
}
