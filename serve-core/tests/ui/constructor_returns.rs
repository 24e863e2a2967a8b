use serve_core::prelude::*;

pub struct Failed;

#[deployment]
pub struct Nothing;

#[handle]
impl Nothing {
    pub fn new() {}
}

#[deployment]
pub struct Perhaps;

#[handle]
impl Perhaps {
    pub fn new() -> Option<Self> {
        Some(Self)
    }
}

#[deployment]
pub struct Failing;

#[handle]
impl Failing {
    pub fn new() -> Result<Self, Failed> {
        Ok(Self)
    }
}

fn main() {}
