//! [`Library`]: the models in memory, each once for all replicas of a process.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use serve_core::prelude::*;

use crate::model::Llama;
use crate::settings::SMOLLM2;

/// Loads GGUF files and shares what is loaded: weights do not change, so the replicas that are
/// given clones of one `Library` read the same memory. A file that nobody uses any more leaves
/// memory.
#[derive(Clone, Debug, Default)]
pub struct Library {
    files: Arc<Mutex<HashMap<Option<String>, Entry>>>,
}

/// Locked while it is loaded, so that one loads and the others wait.
type Entry = Arc<tokio::sync::Mutex<Weak<Llama>>>;

impl Library {
    /// The model in the file `gguf`; SmolLM2-135M-Instruct if there is none, which is fetched if
    /// it has to be.
    ///
    /// # Errors
    /// If there is no such file, or it is not that of a model which can be served.
    pub async fn open(&self, gguf: Option<&str>) -> Result<Arc<Llama>> {
        let key = gguf.map(str::to_owned);
        let entry = Arc::clone(self.files.lock().entry(key.clone()).or_default());
        let mut loaded = entry.lock().await;
        if let Some(model) = loaded.upgrade() {
            return Ok(model);
        }
        let name = gguf.unwrap_or(SMOLLM2.path).to_owned();
        let load = tokio::task::spawn_blocking(move || read(key.as_deref())).await;
        let model = load.map_err(|died| Error::msg(died.to_string())).and_then(|model| model);
        let model = Arc::new(model.map_err(|error| error.context(format!("cannot load {name}")))?);
        *loaded = Arc::downgrade(&model);
        Ok(model)
    }
}

fn read(gguf: Option<&str>) -> Result<Llama> {
    let bytes = match gguf {
        Some(path) => fs::read(path)?,
        None => SMOLLM2.read()?,
    };
    Ok(Llama::read(&bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_no_model_is_said_to_be_none() {
        let library = Library::default();
        let error = library.open(Some("/no/such/model.gguf")).await.expect_err("no file");
        assert!(format!("{error:?}").contains("cannot load /no/such/model.gguf"), "{error:?}");
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let error = library.open(Some(manifest)).await.expect_err("no model");
        assert!(format!("{error:?}").contains("it is not the GGUF file of a Llama"), "{error:?}");
    }
}
