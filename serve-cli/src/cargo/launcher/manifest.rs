//! The launcher's `Cargo.toml`, as a function of the package and its workspace.

use std::fmt;

use cargo_metadata::Package;
use cargo_metadata::camino::Utf8Path;
use toml::{Table, Value};

use super::features::Features;
use crate::cargo::serve_cli_source::ServeCli;
use crate::cargo::workspace::SERVE_CLI;

/// The inputs of a launcher's manifest. `Display` writes the manifest.
pub(super) struct LauncherManifest<'c> {
    pub(super) name: &'c str,
    pub(super) package: &'c Package,
    pub(super) features: Features,
    pub(super) serve_cli: ServeCli,
    /// True if the program is to have TLS.
    pub(super) tls: bool,
    /// Further packages that the launcher links.
    pub(super) others: Vec<&'c Package>,
    /// The root of the user's workspace.
    pub(super) root: &'c Utf8Path,
    pub(super) root_manifest: Table,
}

impl fmt::Display for LauncherManifest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut manifest = Table::new();
        // Unstable keys, including some of profiles, need their opt-in.
        for key in ["cargo-features", "profile"] {
            if let Some(value) = self.root_manifest.get(key) {
                manifest.insert(key.to_owned(), value.clone());
            }
        }
        for key in ["patch", "replace"] {
            if let Some(Value::Table(value)) = self.root_manifest.get(key) {
                let mut value = value.clone();
                make_paths_absolute(&mut value, self.root);
                manifest.insert(key.to_owned(), Value::Table(value));
            }
        }
        manifest.insert("package".to_owned(), Value::Table(self.package_table()));
        manifest.insert("dependencies".to_owned(), Value::Table(self.dependencies()));
        let workspace = [("resolver".to_owned(), Value::from(resolver(&self.root_manifest)))];
        manifest.insert("workspace".to_owned(), Value::Table(workspace.into_iter().collect()));
        write!(f, "# Written by `cargo serve`, which overwrites changes.\n\n{manifest}")
    }
}

impl LauncherManifest<'_> {
    fn package_table(&self) -> Table {
        let mut package = Table::new();
        package.insert("name".to_owned(), Value::from(self.name));
        package.insert("edition".to_owned(), Value::from("2024"));
        package.insert("publish".to_owned(), Value::from(false));
        // Cargo chooses versions of dependencies that support the package's `rust-version`.
        if let Some(version) = &self.package.rust_version {
            package.insert("rust-version".to_owned(), Value::from(version.to_string()));
        }
        package
    }

    fn dependencies(&self) -> Table {
        let mut package = Table::new();
        let directory = self.package.manifest_path.parent().unwrap_or(self.root);
        package.insert("path".to_owned(), Value::from(directory.as_str()));
        if self.features.without_default {
            package.insert("default-features".to_owned(), Value::from(false));
        }
        if !self.features.names.is_empty() {
            package.insert("features".to_owned(), Value::from(self.features.names.clone()));
        }
        let mut dependencies = Table::new();
        dependencies.insert(self.package.name.to_string(), Value::Table(package));
        for other in &self.others {
            let directory = other.manifest_path.parent().unwrap_or(self.root);
            let path = ("path".to_owned(), Value::from(directory.as_str()));
            dependencies.insert(other.name.to_string(), Value::Table([path].into_iter().collect()));
        }
        let mut serve_cli = self.serve_cli.dependency();
        if self.tls {
            serve_cli.insert("features".to_owned(), Value::from(vec!["tls"]));
        }
        dependencies.insert(SERVE_CLI.to_owned(), Value::Table(serve_cli));
        dependencies
    }
}

/// Makes the `path` keys of `[patch.<source>]` and `[replace]` absolute. At any depth, the paths
/// are relative to `root`.
fn make_paths_absolute(table: &mut Table, root: &Utf8Path) {
    for (key, value) in table.iter_mut() {
        match value {
            Value::String(path) if key == "path" => *path = root.join(&*path).into_string(),
            Value::Table(inner) => make_paths_absolute(inner, root),
            _ => {}
        }
    }
}

/// Returns the version of cargo's resolver in the user's workspace, stated or implied by the
/// edition.
fn resolver(root_manifest: &Table) -> &str {
    let table = |key: &str| root_manifest.get(key).and_then(Value::as_table);
    let (workspace, package) = (table("workspace"), table("package"));
    let said = [workspace, package].into_iter().flatten().find_map(|table| table.get("resolver"));
    if let Some(resolver) = said.and_then(Value::as_str) {
        return resolver;
    }
    let edition = package.and_then(|package| package.get("edition")).and_then(|edition| {
        if edition.is_table() {
            workspace?.get("package")?.get("edition")?.as_str()
        } else {
            edition.as_str()
        }
    });
    match edition {
        Some("2015" | "2018") | None => "1",
        Some("2021") => "2",
        Some(_) => "3",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::workspace::tests::package;

    fn table(text: &str) -> Table {
        text.parse().expect("a manifest")
    }

    #[test]
    fn patches_and_profiles_are_carried_over() {
        let package = package("hello").manifest("/work/crates/hello/Cargo.toml").build();
        let contents = LauncherManifest {
            name: "serve-launcher-hello",
            package: &package,
            features: Features { without_default: true, names: vec!["french".into()] },
            serve_cli: ServeCli::Path("/serve/serve-cli".into()),
            tls: true,
            others: Vec::new(),
            root: "/work".into(),
            root_manifest: table(
                r#"
                [workspace]
                members = ["crates/*"]
                resolver = "3"

                [workspace.dependencies]
                words = { path = "words" }

                [patch.crates-io]
                heck = { path = "patched/heck" }
                fnv = { git = "https://git.example/fnv", branch = "main" }

                [patch."https://git.example/words"]
                words = { path = "/elsewhere/words" }

                [profile.dev.package."*"]
                opt-level = 2
                "#,
            ),
        };
        insta::assert_snapshot!(contents.to_string());
    }

    #[test]
    fn the_resolver_is_the_workspaces() {
        let of = |text: &str| resolver(&table(text)).to_owned();
        assert_eq!(of("[workspace]\nresolver = '2'"), "2");
        assert_eq!(of("[package]\nresolver = '1'\nedition = '2024'"), "1");
        assert_eq!(of("[package]\nedition = '2024'"), "3");
        assert_eq!(of("[package]\nedition = '2021'"), "2");
        assert_eq!(of("[package]\nname = 'old'"), "1");
        assert_eq!(of("[workspace]\nmembers = []"), "1");
        let inherited =
            "[package]\nedition.workspace = true\n[workspace.package]\nedition = '2021'";
        assert_eq!(of(inherited), "2");
    }
}
