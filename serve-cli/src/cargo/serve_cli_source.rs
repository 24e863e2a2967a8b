//! The source of `serve-cli`, which is the source of the package's `serve-core`.
//!
//! A program must contain only one `serve-core`, since applications registered with another
//! one are invisible. The launcher therefore asks for `serve-cli` from exactly the same
//! source, in the same words: to cargo, a branch and the commit it points at are two sources.

use cargo_metadata::Package;
use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};
use toml::{Table, Value};
use toml_edit::InlineTable;

use super::error::Error;
use super::relative_path::relative_path;
use super::workspace::SERVE_CLI;

/// The source of `serve-cli`, as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServeCli {
    /// The directory beside `serve-core`.
    Path(Utf8PathBuf),
    /// The repository of `serve-core`, at the same branch, tag or commit if one is given.
    Git { url: String, reference: Option<(String, String)> },
    /// The version of `serve-core`, from the same registry; crates.io if there is no index.
    Registry { version: String, index: Option<String> },
}

impl ServeCli {
    /// Returns the `serve-cli` that belongs to the `serve-core` of `package`.
    pub(crate) fn beside(serve_core: &Package, package: &Package) -> Result<Self, Error> {
        let Some(source) = &serve_core.source else {
            return Self::beside_directory(serve_core, package);
        };
        if source.is_crates_io() {
            return Ok(Self::Registry { version: serve_core.version.to_string(), index: None });
        }
        Self::parse(&source.repr, serve_core).ok_or_else(|| Error::NoServeCli {
            package: package.name.to_string(),
            found: source.repr.clone(),
        })
    }

    fn beside_directory(serve_core: &Package, package: &Package) -> Result<Self, Error> {
        let directory = serve_core.manifest_path.parent();
        let beside =
            directory.and_then(|directory| directory.parent()).map(|parent| parent.join(SERVE_CLI));
        match beside {
            Some(path) if path.join("Cargo.toml").is_file() => Ok(Self::Path(path)),
            _ => Err(Error::NoServeCli {
                package: package.name.to_string(),
                found: directory.map(ToString::to_string).unwrap_or_default(),
            }),
        }
    }

    fn parse(source: &str, serve_core: &Package) -> Option<Self> {
        if let Some(url) = source.strip_prefix("git+") {
            let url = url.split_once('#').map_or(url, |(url, _commit)| url);
            let (url, query) =
                url.split_once('?').map_or((url, None), |(url, query)| (url, Some(query)));
            let reference = query
                .and_then(|query| query.split_once('='))
                .map(|(kind, name)| (kind.to_owned(), name.to_owned()));
            return Some(Self::Git { url: url.to_owned(), reference });
        }
        let index = if source.starts_with("sparse+") {
            source
        } else {
            source.strip_prefix("registry+")?
        };
        Some(Self::Registry {
            version: serve_core.version.to_string(),
            index: Some(index.to_owned()),
        })
    }

    /// Returns the dependency without the `cargo serve` command, which a program does not need.
    pub(crate) fn dependency(&self) -> Table {
        let mut table = Table::new();
        let mut set = |key: &str, value: &str| table.insert(key.to_owned(), Value::from(value));
        match self {
            Self::Path(path) => {
                set("path", path.as_str());
            }
            Self::Git { url, reference } => {
                set("git", url);
                if let Some((kind, name)) = reference {
                    set(kind, name);
                }
            }
            Self::Registry { version, index } => {
                set("version", &format!("={version}"));
                if let Some(index) = index {
                    set("registry-index", index);
                }
            }
        }
        table.insert("default-features".to_owned(), Value::from(false));
        table
    }

    /// Returns the dependency as a person would write it in a manifest in `directory`: with a
    /// relative path, or with any compatible version.
    pub(crate) fn as_written_in(&self, directory: &Utf8Path) -> toml_edit::Value {
        let mut table = InlineTable::new();
        for (key, value) in self.dependency() {
            let value = match (key.as_str(), value) {
                ("path", Value::String(path)) => {
                    relative_path(path.as_ref(), directory.as_std_path()).into()
                }
                ("version", Value::String(version)) => version.trim_start_matches('=').into(),
                (_, Value::Boolean(flag)) => flag.into(),
                (_, value) => value.as_str().unwrap_or_default().into(),
            };
            table.insert(key, value);
        }
        table.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::workspace::tests::package;

    fn dependency(source: &str) -> String {
        let core = package("serve-core").from(source).build();
        let cli = ServeCli::beside(&core, &package("hello").build()).expect("a source");
        cli.dependency().to_string().trim().replace('\n', ", ")
    }

    #[test]
    fn a_release_needs_the_same_release() {
        assert_eq!(
            dependency("registry+https://github.com/rust-lang/crates.io-index"),
            r#"default-features = false, version = "=1.0.0""#
        );
    }

    #[test]
    fn another_registry_is_kept() {
        assert_eq!(
            dependency("sparse+https://crates.example/index/"),
            r#"default-features = false, registry-index = "sparse+https://crates.example/index/", version = "=1.0.0""#
        );
        assert_eq!(
            dependency("registry+https://crates.example/index"),
            r#"default-features = false, registry-index = "https://crates.example/index", version = "=1.0.0""#
        );
    }

    #[test]
    fn a_repository_is_named_in_the_same_words() {
        assert_eq!(
            dependency("git+https://git.example/serve?branch=main#0123abcd"),
            r#"branch = "main", default-features = false, git = "https://git.example/serve""#
        );
        assert_eq!(
            dependency("git+https://git.example/serve#0123abcd"),
            r#"default-features = false, git = "https://git.example/serve""#
        );
    }

    #[test]
    fn a_lone_directory_is_not_enough() {
        let core = package("serve-core").manifest("/nowhere/serve-core/Cargo.toml").build();
        let error = ServeCli::beside(&core, &package("hello").build()).expect_err("no serve-cli");
        assert!(error.to_string().contains("from /nowhere/serve-core,"), "{error}");
    }
}
