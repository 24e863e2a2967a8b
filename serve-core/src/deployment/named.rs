//! Custom request routers and autoscaling policies that a config file can name.

use serde_json::Value;

use super::setting::Setting;
use super::{RequestRouting, SharedPolicy};

/// A request router that is registered under a name. See
/// [`register_request_router!`](crate::routing::register_request_router).
#[derive(Debug)]
pub struct NamedRouter {
    /// The name of the request router.
    pub name: &'static str,
    /// Creates the option.
    pub make: fn() -> RequestRouting,
}

/// An autoscaling policy that is registered under a name. See
/// [`register_autoscaling_policy!`](crate::autoscaling::register_autoscaling_policy).
#[derive(Debug)]
pub struct NamedPolicy {
    /// The name of the policy.
    pub name: &'static str,
    /// Creates the policy.
    pub make: fn(&'static str) -> SharedPolicy,
}

inventory::collect!(NamedRouter);
inventory::collect!(NamedPolicy);

impl Setting for RequestRouting {
    fn read(value: Value) -> Result<Self, String> {
        let name = String::read(value)?;
        let own = [Self::PowerOfTwoChoices, Self::RoundRobin, Self::ConsistentHash];
        if let Some(own) = own.iter().find(|own| own.to_string() == name) {
            return Ok(own.clone());
        }
        let registered = || inventory::iter::<NamedRouter>();
        if let Some(named) = registered().find(|named| named.name == name) {
            return Ok((named.make)());
        }
        let own = own.iter().map(Self::to_string);
        let all = own.chain(registered().map(|named| named.name.to_owned()));
        Err(none_of("request router", &name, all, "register_request_router!"))
    }

    fn write(&self) -> Value {
        let named = inventory::iter::<NamedRouter>().find(|named| (named.make)() == *self);
        match named {
            Some(named) => named.name.into(),
            None => self.to_string().into(),
        }
    }
}

impl Setting for SharedPolicy {
    fn read(value: Value) -> Result<Self, String> {
        let name = String::read(value)?;
        let registered = || inventory::iter::<NamedPolicy>();
        match registered().find(|named| named.name == name) {
            Some(named) => Ok((named.make)(named.name)),
            None => {
                let all = registered().map(|named| named.name.to_owned());
                Err(none_of("autoscaling policy", &name, all, "register_autoscaling_policy!"))
            }
        }
    }

    fn write(&self) -> Value {
        self.name().into()
    }
}

fn none_of(what: &str, name: &str, all: impl Iterator<Item = String>, register: &str) -> String {
    let all: Vec<String> = all.map(|name| format!("`{name}`")).collect();
    let there_are = match &all[..] {
        [] => "none is registered".to_owned(),
        all => format!("there are {}", all.join(", ")),
    };
    format!("no {what} is named `{name}`; {there_are}; `{register}` registers one")
}
