//! The arguments of `call`, whose first word is the method if the application is left out.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::assignment::NotAnAssignment;
use super::{ApplicationPath, Assignment, LogArguments, NodeArguments};

/// A method to call once.
#[derive(Debug, Clone, Args)]
pub(crate) struct CallArguments {
    /// The application; without PACKAGE, an application of the package in this directory. Not
    /// needed if the package has only one
    #[arg(value_name = "[PACKAGE:]APP")]
    first: ApplicationPath,

    /// The method of the ingress deployment
    #[arg(value_name = "METHOD")]
    second: Option<MethodOrValue>,

    /// Values for the method's parameters
    #[arg(value_name = "KEY=VALUE")]
    rest: Vec<Assignment>,

    /// A value for the application's argument
    #[arg(long = "with", value_name = "KEY=VALUE")]
    pub(crate) with: Vec<Assignment>,

    /// The id of the model that the call is for, if the ingress has several models
    #[arg(long, value_name = "ID")]
    pub(crate) model: Option<String>,

    /// The session that the call belongs to
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,

    /// Give up if the call takes longer than this, for example 30s
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// Print strings as JSON, too
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) log: LogArguments,

    #[command(flatten)]
    pub(crate) node: NodeArguments,
}

/// The second word: the method, or a value if the application is left out.
#[derive(Debug, Clone)]
enum MethodOrValue {
    Method(String),
    Value(Assignment),
}

impl FromStr for MethodOrValue {
    type Err = NotAnAssignment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('=') {
            text.parse().map(Self::Value)
        } else {
            Ok(Self::Method(text.to_owned()))
        }
    }
}

/// The method to call, as it was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method<'a> {
    /// A method of this application.
    Of(&'a ApplicationPath, &'a str),
    /// One word: a method of the only application, or an application without a method.
    Alone(&'a ApplicationPath),
}

impl CallArguments {
    /// Returns the method to call.
    pub(crate) fn method(&self) -> Method<'_> {
        match &self.second {
            Some(MethodOrValue::Method(method)) => Method::Of(&self.first, method),
            _ => Method::Alone(&self.first),
        }
    }

    /// Returns the values for the method's parameters.
    pub(crate) fn values(&self) -> Vec<Assignment> {
        let second = match &self.second {
            Some(MethodOrValue::Value(value)) => Some(value),
            _ => None,
        };
        second.into_iter().chain(&self.rest).cloned().collect()
    }
}
