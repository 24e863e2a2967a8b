//! What replicas may reserve of this machine.

use clap::Args;

/// What there is, where that is not what the machine itself says.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct NodeArguments {
    /// The CPUs that replicas may reserve, if not all of this machine
    #[arg(long, value_name = "COUNT", value_parser = amount)]
    pub(crate) num_cpus: Option<f64>,

    /// The GPUs that replicas may reserve; none unless it is said
    #[arg(long, value_name = "COUNT")]
    pub(crate) num_gpus: Option<usize>,

    /// How much there is of another resource; may be repeated
    #[arg(long = "resource", value_name = "NAME=AMOUNT", value_parser = resource)]
    pub(crate) resources: Vec<Resource>,
}

/// An amount of something, by its name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resource {
    pub(crate) name: String,
    pub(crate) amount: f64,
}

fn amount(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|amount: &f64| amount.is_finite() && *amount >= 0.0)
        .ok_or_else(|| "expected a number that is not negative, as in `4` or `0.5`".to_owned())
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
    fn amounts_are_numbers_that_are_not_negative() {
        let npu = Resource { name: "npu".to_owned(), amount: 1.5 };
        assert_eq!(resource("npu=1.5"), Ok(npu));
        for nonsense in ["npu", "=1", "npu=-1", "npu=inf", "npu=many"] {
            assert!(resource(nonsense).is_err(), "{nonsense}");
        }
    }
}
