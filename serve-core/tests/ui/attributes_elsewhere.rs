use serve_core::prelude::*;

#[handle]
pub struct OnAStruct;

#[deployment]
impl OnAStruct {}

#[application]
pub struct NoFunction;

#[deployment]
#[deployment]
#[derive(Default)]
pub struct Twice;

#[handle(num_replicas = 2)]
impl Twice {}

#[deployment(num_replicas: 2)]
#[derive(Default)]
pub struct WithAColon;

#[handle]
impl WithAColon {}

pub struct Plain;

impl Plain {
    #[task]
    pub fn task(&self) -> u64 {
        1
    }
}

fn main() {}
