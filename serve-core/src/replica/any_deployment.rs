//! [`AnyDeployment`]: the runtime's view of a deployment's type, with the type erased.

use std::any::{Any, TypeId};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use super::local::LocalTarget;
use super::target::Target;
use crate::deployment::{AnyBound, Constructor, Locality, Wiring};
use crate::error::Error;
use crate::method::{AnyMethod, Handlers, InstanceCell};

/// A deployment's type, for code that handles all of them alike.
pub(crate) trait AnyDeployment: Send + Sync {
    fn name(&self) -> &'static str;
    fn type_id(&self) -> TypeId;
    fn type_name(&self) -> &'static str;
    /// True if calls run one at a time.
    fn is_exclusive(&self) -> bool;
    /// True if calls of the deployment can be written to bytes.
    fn travels(&self) -> bool;
    fn methods(&self) -> Vec<&'static dyn AnyMethod>;
    fn http(&self) -> Option<Box<dyn Any + Send + Sync>>;
    /// The name of the method marked `#[routes]`, if there is one.
    fn routes(&self) -> Option<&'static str>;
    /// Checks a user config. Returns `None` if the deployment takes no user config.
    fn check_user_config(&self, config: &Value) -> Option<Result<(), Error>>;
    /// Creates an instance with the user's constructor.
    fn construct(
        &self,
        bound: &AnyBound,
        wiring: &Wiring,
    ) -> BoxFuture<'static, Result<Arc<dyn Target>, Error>>;
}

/// The [`AnyDeployment`] of the deployment `D`.
struct DeploymentOf<D>(PhantomData<fn() -> D>);

impl<D: Handlers> AnyDeployment for DeploymentOf<D> {
    fn name(&self) -> &'static str {
        D::NAME
    }

    fn type_id(&self) -> TypeId {
        TypeId::of::<D>()
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<D>()
    }

    fn is_exclusive(&self) -> bool {
        <D::Cell as InstanceCell<D>>::EXCLUSIVE
    }

    fn travels(&self) -> bool {
        D::Locality::TRAVELS
    }

    fn methods(&self) -> Vec<&'static dyn AnyMethod> {
        D::methods()
    }

    fn http(&self) -> Option<Box<dyn Any + Send + Sync>> {
        D::http()
    }

    fn routes(&self) -> Option<&'static str> {
        D::ROUTES
    }

    fn check_user_config(&self, config: &Value) -> Option<Result<(), Error>> {
        D::check_user_config(config)
    }

    fn construct(
        &self,
        bound: &AnyBound,
        wiring: &Wiring,
    ) -> BoxFuture<'static, Result<Arc<dyn Target>, Error>> {
        let constructor: Constructor<D> = bound.constructor();
        let instance = constructor(wiring);
        Box::pin(
            async move { Ok(Arc::new(LocalTarget::<D>::new(instance.await?)) as Arc<dyn Target>) },
        )
    }
}

/// The deployment as its `Bound` carries it, for the `bind` that `#[handle]` writes.
#[doc(hidden)]
#[must_use]
pub fn any_deployment<D: Handlers>() -> Arc<dyn Any + Send + Sync> {
    Arc::new(Arc::new(DeploymentOf::<D>(PhantomData)) as Arc<dyn AnyDeployment>)
}

/// The kind that a `Bound` carries.
pub(crate) fn deployment_of(bound: &AnyBound) -> Arc<dyn AnyDeployment> {
    let kind = bound.kind().downcast_ref::<Arc<dyn AnyDeployment>>();
    Arc::clone(kind.expect("`bind` puts what `any_deployment` made into every bound deployment"))
}

impl fmt::Debug for dyn AnyDeployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}
