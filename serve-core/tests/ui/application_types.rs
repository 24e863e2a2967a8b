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

#[derive(Deserialize)]
pub struct WithoutSchema {
    pub replicas: usize,
}

#[derive(JsonSchema)]
pub struct WithoutDeserialize {
    pub replicas: usize,
}

#[application]
pub fn without_schema(arguments: WithoutSchema) -> Application<Adder> {
    Adder::bind().num_replicas(arguments.replicas).into()
}

#[application]
pub fn without_deserialize(arguments: WithoutDeserialize) -> Bound<Adder> {
    Adder::bind().num_replicas(arguments.replicas)
}

#[application]
pub fn not_bound() -> Adder {
    Adder
}

fn main() {}
