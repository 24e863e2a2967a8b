//! [`Mock`]: the answers for a deployment's methods, inside every `XMock`.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use futures::Stream;
use futures::future::BoxFuture;

use crate::call::CallError;
use crate::deployment::Deployment;
use crate::error::Error;
use crate::method::{
    AnyMethod, AnyReply, Handlers, Hook, Method, Reply, StreamSink, Streaming, Unary,
};
use crate::replica::{Call, Target};

/// The answers for the methods of `D`, which every `XMock` wraps.
pub struct Mock<D> {
    answers: Answers,
    deployment: PhantomData<fn() -> D>,
}

/// A [`Mock`] without its type.
#[derive(Clone)]
pub(super) struct Answers {
    pub(super) type_id: TypeId,
    /// The name of the only deployment that is mocked; `None` mocks every deployment of the type.
    pub(super) name: Option<Name>,
    pub(super) type_name: &'static str,
    methods: HashMap<&'static str, Answer>,
}

/// The name that a mock was given.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) name: String,
    /// The place in the test where the name was given.
    pub(super) at: &'static Location<'static>,
}

/// The reason why a downcast cannot fail: a call holds the values that its method's types say.
const TYPES: &str = "a call holds its method's types";

type Answer = Arc<dyn Fn(Call) -> BoxFuture<'static, AnyReply> + Send + Sync>;

/// A mock that a mock runtime accepts: every `XMock`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a mock",
    label = "expected a mock that `#[deployment]` generates, like `AdderMock`"
)]
pub trait IntoMock {
    /// The deployment that is mocked.
    type Deployment: Handlers;
    /// Returns the answers inside.
    fn into_mock(self) -> Mock<Self::Deployment>;
    /// Creates a mock with these answers.
    #[doc(hidden)]
    fn from_mock(mock: Mock<Self::Deployment>) -> Self;
}

impl<D: Deployment> Mock<D> {
    /// Creates a mock with no answers.
    #[must_use]
    pub fn new() -> Self {
        let answers = Answers {
            type_id: TypeId::of::<D>(),
            name: None,
            type_name: D::NAME,
            methods: HashMap::new(),
        };
        Self { answers, deployment: PhantomData }
    }

    /// Mocks only the deployment of this name. Without a name, every deployment of the type is
    /// mocked.
    #[must_use]
    #[track_caller]
    pub fn named(mut self, name: &str) -> Self {
        self.answers.name = Some(Name { name: name.to_owned(), at: Location::caller() });
        self
    }
}

impl<D: Handlers> Mock<D> {
    /// Sets the answer of a method that returns one value.
    #[must_use]
    pub fn on_unary<M, F, Fut>(self, answer: F) -> Self
    where
        M: Unary<Deployment = D>,
        F: Fn(M::Args) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<M::Ok, CallError<M::Err>>> + Send + 'static,
    {
        self.on::<M>(move |call| {
            let answer = answer(*call.arguments.downcast().expect(TYPES));
            Box::pin(async move { Reply::<_, _, M::Args>::Answer(answer.await).erase() })
        })
    }

    /// Sets the answer of a method that returns a stream of values.
    #[must_use]
    pub fn on_stream<M, F, S>(self, answer: F) -> Self
    where
        M: Streaming<Deployment = D>,
        F: Fn(M::Args) -> S + Send + Sync + 'static,
        S: Stream<Item = Result<M::Ok, CallError<M::Err>>> + Send + 'static,
    {
        self.on::<M>(move |call| {
            let items = call.items.expect("a streaming method is given a sink for its items");
            let items: StreamSink<M::Ok, M::Err> = *items.downcast().expect(TYPES);
            let answer = answer(*call.arguments.downcast().expect(TYPES));
            Box::pin(
                async move { Reply::<_, _, M::Args>::Answer(items.forward(answer).await).erase() },
            )
        })
    }

    fn on<M: Method>(
        mut self,
        answer: impl Fn(Call) -> BoxFuture<'static, AnyReply> + Send + Sync + 'static,
    ) -> Self {
        self.answers.methods.insert(M::INFO.name, Arc::new(answer));
        self
    }

    pub(super) fn answers(self) -> Answers {
        self.answers
    }
}

impl<D: Deployment> Default for Mock<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D> Clone for Mock<D> {
    fn clone(&self) -> Self {
        Self { answers: self.answers.clone(), deployment: PhantomData }
    }
}

impl<D> fmt::Debug for Mock<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.answers.fmt(f)
    }
}

impl Answers {
    /// Returns the name that the mock is bound to, if there is one.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_ref().map(|name| &*name.name)
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mock")
            .field("deployment", &self.type_name)
            .field("name", &self.name())
            .field("methods", &self.methods.keys())
            .finish()
    }
}

impl Target for Answers {
    fn instance(&self) -> Option<Arc<dyn std::any::Any + Send + Sync>> {
        None
    }

    fn keeps_order(&self, _: &dyn AnyMethod) -> bool {
        // A mock answers each call by itself.
        false
    }

    fn call(&self, call: Call) -> BoxFuture<'static, AnyReply> {
        let method = call.method.info().name;
        if let Some(answer) = self.methods.get(method) {
            return answer(call);
        }
        let error = CallError::Panicked(format!(
            "`{0}` is mocked, and its mock has no answer for `{method}`; add `.{method}(..)` to \
             `{0}Mock`",
            self.type_name
        ));
        Box::pin(async { Reply::Answer(Err(error)) })
    }

    fn hook(&self, _: Hook<'_>) -> Option<BoxFuture<'static, Result<(), Error>>> {
        None
    }
}
