use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Adder;

#[handle]
impl Adder {
    pub async fn one(&self) -> u64 {
        1
    }
}

#[derive(Deserialize, JsonSchema)]
pub struct Arguments {
    pub name: String,
}

#[application]
pub fn number(n: usize) -> Application<Adder> {
    Adder::bind().num_replicas(n).into()
}

#[application]
pub fn optional(name: Option<String>) -> Application<Adder> {
    Adder::bind().name(name.unwrap_or_default()).into()
}

#[application]
pub fn pair(_both: (u64, u64)) -> Application<Adder> {
    Adder::bind().into()
}

#[application]
pub fn borrowed(_arguments: &Arguments) -> Application<Adder> {
    Adder::bind().into()
}

#[application]
pub fn any(_name: impl Into<String>) -> Application<Adder> {
    Adder::bind().into()
}

#[application]
pub fn two(_a: u64, _b: u64) -> Application<Adder> {
    Adder::bind().into()
}

fn main() {}
