//! A call that asks for a model which its replica holds, against one that asks for none.

use serve_core::prelude::*;

use super::paired::{Threads, paired};
use super::table::{Goal, Table};

#[deployment]
pub(crate) struct Translator {
    models: Multiplexed<u64>,
}

#[handle]
impl Translator {
    pub fn new() -> Self {
        Self { models: Multiplexed::new(4, async |_id| Ok::<_, Error>(1)) }
    }

    pub async fn translate(&self, text: u64) -> Result<u64> {
        Ok(text + *self.models.current().await?)
    }

    pub async fn repeat(&self, text: u64) -> Result<u64> {
        Ok(text + 1)
    }
}

/// What the model costs a call beyond its load: naming it, finding who holds it, finding it.
pub(crate) async fn measure(table: &mut Table, threads: Threads) {
    let name = format!("call for a model that is held, {threads}");
    if !table.wants(&name) {
        return;
    }
    let runtime = Runtime::builder().start().await.expect("tokio is here");
    let translator = runtime.run(Translator::bind()).await.expect("nothing keeps it");
    let plain = translator.clone();
    let repeat = move |repeats| {
        let translator = plain.clone();
        async move {
            for text in 0..repeats as u64 {
                assert_eq!(translator.repeat(text).await.expect("nothing fails it"), text + 1);
            }
        }
    };
    let ratio = paired(translate(&translator, "es"), repeat).await;
    table.add(name, "call without a model", Goal::AtMost(1.3), ratio);
    runtime.shutdown().await;
}

/// One call after the other, all for one model.
pub(crate) fn translate(
    translator: &TranslatorHandle,
    model: &str,
) -> impl Fn(usize) -> BoxFuture + Send + Sync + use<> {
    let translator = translator.options(CallOptions::new().multiplexed_model_id(model));
    move |repeats| {
        let translator = translator.clone();
        Box::pin(async move {
            for text in 0..repeats as u64 {
                assert_eq!(translator.translate(text).await.expect("it loads"), text + 1);
            }
        })
    }
}

type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
