//! [`Mock`]: answers for a deployment's methods, inside every `XMock`.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{Stream, StreamExt, stream};

use crate::call::CallError;
use crate::deployment::Deployment;
use crate::error::Error;
use crate::replica::{AnyValue, Call, Handlers, Hook, Method, Reply, Streaming, Target, Unary};

/// Answers for the methods of `D`; what every `XMock` wraps.
pub struct Mock<D> {
    answers: Answers,
    deployment: PhantomData<fn() -> D>,
}

/// A [`Mock`] without its type.
#[derive(Clone)]
pub(super) struct Answers {
    pub(super) type_id: TypeId,
    /// Only the deployment of this name, if one is given.
    pub(super) name: Option<Name>,
    pub(super) type_name: &'static str,
    methods: HashMap<&'static str, Answer>,
}

/// The name that a mock was given.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) name: String,
    /// Where in the test.
    pub(super) at: &'static Location<'static>,
}

type Answer = Arc<dyn Fn(AnyValue) -> Reply + Send + Sync>;

/// What a mock runtime takes: every `XMock`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a mock",
    label = "expected a mock that `#[handle]` makes, like `AdderMock`"
)]
pub trait IntoMock {
    /// The deployment that it stands for.
    type Deployment: Handlers;
    /// The answers inside.
    fn into_mock(self) -> Mock<Self::Deployment>;
    /// A mock with these answers.
    #[doc(hidden)]
    fn from_mock(mock: Mock<Self::Deployment>) -> Self;
}

impl<D: Deployment> Mock<D> {
    /// A mock with no answer yet.
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

    /// Only for the deployment of this name; else for every deployment of the type.
    #[must_use]
    #[track_caller]
    pub fn named(mut self, name: &str) -> Self {
        self.answers.name = Some(Name { name: name.to_owned(), at: Location::caller() });
        self
    }
}

impl<D: Handlers> Mock<D> {
    /// Answers a method that gives one value.
    #[must_use]
    pub fn on_unary<M, F, Fut>(self, answer: F) -> Self
    where
        M: Unary<Deployment = D>,
        F: Fn(M::Args) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<M::Ok, CallError<M::Err>>> + Send + 'static,
    {
        self.on::<M>(move |args| {
            let answer = answer(*args.downcast().expect("a call holds its method's arguments"));
            Reply::One(Box::pin(async move { erase::<M>(answer.await) }))
        })
    }

    /// Answers a method that gives many values.
    #[must_use]
    pub fn on_stream<M, F, S>(self, answer: F) -> Self
    where
        M: Streaming<Deployment = D>,
        F: Fn(M::Args) -> S + Send + Sync + 'static,
        S: Stream<Item = Result<M::Ok, CallError<M::Err>>> + Send + 'static,
    {
        self.on::<M>(move |args| {
            let answer = answer(*args.downcast().expect("a call holds its method's arguments"));
            Reply::Many(Box::pin(answer.map(erase::<M>)))
        })
    }

    fn on<M: Method>(mut self, answer: impl Fn(AnyValue) -> Reply + Send + Sync + 'static) -> Self {
        self.answers.methods.insert(M::INFO.name, Arc::new(answer));
        self
    }

    pub(super) fn answers(self) -> Answers {
        self.answers
    }
}

fn erase<M: Method>(
    result: Result<M::Ok, CallError<M::Err>>,
) -> Result<AnyValue, CallError<AnyValue>> {
    match result {
        Ok(value) => Ok(Box::new(value)),
        Err(error) => Err(error.map_app(|error| Box::new(error) as AnyValue)),
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
    /// The name that it is bound to, if it is.
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

    fn call(&self, Call { method, arguments }: Call) -> Reply {
        let info = method.info();
        if let Some(answer) = self.methods.get(info.name) {
            return answer(arguments);
        }
        let error = Err(CallError::Panicked(format!(
            "`{0}` is mocked, and its mock has no answer for `{1}`; add `.{1}(..)` to `{0}Mock`",
            self.type_name, info.name
        )));
        if info.streaming {
            Reply::Many(stream::once(async { error }).boxed())
        } else {
            Reply::One(Box::pin(async { error }))
        }
    }

    fn hook(&self, _: Hook<'_>) -> Option<BoxFuture<'static, Result<(), Error>>> {
        None
    }
}
