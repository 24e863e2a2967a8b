//! Configuration files: `serve.yaml`, and the same configuration as JSON.
//!
//! [`Config::parse`] reads a file, and reports every fault of the file at once, each with its line,
//! its column, the keys that lead to it, and a remedy. The options of deployments and of HTTP are
//! read through the tables of those options, so that a config file, the attribute, the JSON Schema
//! and the guide agree.
//!
//! The configuration is data. This module decides nothing about what runs.
//!
//! ```
//! use serve_core::config::Config;
//!
//! let text = "
//! http: { port: 9000 }
//! applications:
//!   - name: ocr
//!     import_path: ocr:ocr
//!     deployments:
//!       - { name: Recognise, num_replicas: 2 }
//! ";
//! let config = Config::parse(text, "serve.yaml", &|_| None)?;
//! assert_eq!(config.http.port, Some(9000));
//! assert_eq!(config.applications[0].deployments[0].options.num_replicas, Some(2));
//!
//! let faults = Config::parse("http: { prot: 80 }\napplications: []", "serve.yaml", &|_| None).unwrap_err();
//! assert!(faults.to_string().starts_with("serve.yaml:1:9: http.prot: unknown key; did you mean `port`?"));
//! # Ok::<(), serve_core::config::ConfigFaults>(())
//! ```

mod data;
mod diff;
mod environment;
mod fault;
mod given;
mod json;
mod keys;
mod layers;
mod node;
mod ray;
mod read;
mod redact;
mod schema;
mod secrets;
mod source_map;
mod write;
mod yaml;

pub use self::data::{
    AdminConfig, AdminPort, ApplicationConfig, Config, DeploymentConfig, HttpConfig, LogFormat,
    LoggingConfig, RoutePrefix, Secret,
};
pub use self::diff::{ConfigChange, ConfigDiff};
pub use self::fault::{ConfigFault, ConfigFaults, ConfigNote};
pub use self::layers::{ProcessSettings, VariableFault};
