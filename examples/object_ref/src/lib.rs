//! A response becomes an object reference, which a stateless task takes as its argument.

use serve_core::prelude::*;

/// Says hi.
#[deployment]
#[derive(Debug, Default)]
pub struct Greeter;

#[handle]
impl Greeter {
    /// A greeting.
    pub async fn greet(&self, name: String) -> String {
        format!("Hi {name}")
    }
}

/// A stateless function that runs like a call.
#[task]
pub async fn say_hi_task(input: String) -> String {
    format!("{input}, from a task!")
}

/// The ingress.
#[deployment]
#[derive(Debug)]
pub struct Caller {
    greeter: GreeterHandle,
}

#[handle]
impl Caller {
    /// Calls `greeter`.
    pub fn new(greeter: GreeterHandle) -> Self {
        Self { greeter }
    }

    /// The greeting goes to two tasks and is made once.
    pub async fn both(&self, name: String) -> Result<Vec<String>> {
        let greeting = self.greeter.greet(name).object_ref();
        let (one, two) = (say_hi_task::remote(&greeting), say_hi_task::remote(&greeting));
        Ok(vec![one.await?, two.await?])
    }
}

/// A caller and its greeter.
#[application]
pub fn object_ref() -> Application<Caller> {
    Caller::bind(Greeter::bind()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_call_feeds_two_tasks() -> Result<()> {
        let runtime = MockRuntime::builder().start();
        let caller = runtime.run(object_ref()).await?;
        assert_eq!(caller.both("Dora").await?, ["Hi Dora, from a task!"; 2]);
        assert_eq!(runtime.calls::<Greeter>(), ["greet"]);
        Ok(())
    }
}
