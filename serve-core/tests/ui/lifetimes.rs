use std::borrow::Cow;

use serve_core::prelude::*;

#[deployment]
pub struct Borrowed<'a> {
    name: &'a str,
}

#[handle]
impl<'a> Borrowed<'a> {
    pub fn new(name: &'a str) -> Self {
        Self { name }
    }
}

#[deployment]
pub struct Reader(String);

#[handle]
impl Reader {
    pub fn new<'a>(name: &'a str) -> Self {
        Self(name.to_owned())
    }

    pub async fn longest<'a>(&'a self, a: &'a str, b: &'a str) -> &'a str {
        if a.len() > b.len() { a } else { b }
    }

    pub async fn optional(&self, name: Option<&str>) -> bool {
        name.is_some()
    }

    pub async fn cow(&self, name: Cow<'_, str>) -> usize {
        name.len()
    }

    pub async fn names(&self) -> Vec<&str> {
        vec![&self.0]
    }

    pub fn lines(&self) -> impl Stream<Item = &str> {
        futures::stream::iter(self.0.lines())
    }

    pub async fn unsized_types(&self, name: Box<str>, numbers: Box<[u8]>) -> usize {
        name.len() + numbers.len()
    }
}

#[task]
pub fn shout<'a>(text: &'a str) -> &'a str {
    text
}

fn main() {}
