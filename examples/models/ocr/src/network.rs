//! [`Network`]: one of the models, ready to run.

use std::fmt;
use std::sync::Arc;

use rten::{Model, ModelOptions, RunOptions, ThreadPool, Value};
use rten_tensor::NdTensor;
use serve_core::prelude::*;
use weights::Weights;

/// A model with a thread of its own. rten's default is one pool for the whole process, and the
/// replicas of all deployments would wait for each other in it.
pub(crate) struct Network {
    model: Model,
    options: RunOptions,
}

impl Network {
    /// Reads the model, and fetches it first if it is not there. Blocks meanwhile.
    pub(crate) fn load(path: &'static str, sha256: &'static str) -> Result<Self> {
        let bytes = Weights { wheel: "rapidocr", path, sha256 }.read()?;
        let mut options = ModelOptions::with_all_ops();
        options.prepack_weights(true);
        let model = options.load(bytes)?;
        let threads = Arc::new(ThreadPool::with_num_threads(1));
        Ok(Self { model, options: RunOptions::default().with_thread_pool(Some(threads)) })
    }

    /// What the model says about itself under `key`.
    pub(crate) fn metadata(&self, key: &str) -> Option<&str> {
        self.model.metadata().get(key)
    }

    /// Runs the model, which has one input and one output.
    pub(crate) fn run<const N: usize>(&self, input: NdTensor<f32, 4>) -> Result<NdTensor<f32, N>>
    where
        NdTensor<f32, N>: TryFrom<Value, Error: std::error::Error + Send + Sync + 'static>,
    {
        let output = self.model.run_one(input.into(), Some(self.options.clone()))?;
        Ok(output.try_into()?)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}
