//! Tests of the selection of a package, on a table of workspaces.

use serde_json::{Value, json};

use super::*;

/// A package as `cargo metadata` describes it.
pub(crate) struct PackageJson(Value);

pub(crate) fn package(name: &str) -> PackageJson {
    PackageJson(json!({
        "name": name,
        "version": "1.0.0",
        "id": format!("path+file:///work/{name}#1.0.0"),
        "dependencies": [],
        "targets": [],
        "features": {},
        "manifest_path": format!("/work/{name}/Cargo.toml"),
        "metadata": null,
    }))
}

impl PackageJson {
    fn push(mut self, list: &str, value: Value) -> Self {
        self.0[list].as_array_mut().expect("a list").push(value);
        self
    }

    fn target(self, name: &str, kinds: &[&str]) -> Self {
        let target = json!({"name": name, "kind": kinds, "crate_types": kinds, "src_path": "/"});
        self.push("targets", target)
    }

    pub(crate) fn library(self, name: &str, kinds: &[&str]) -> Self {
        self.target(name, kinds)
    }

    pub(crate) fn binary(self, name: &str) -> Self {
        self.target(name, &["bin"])
    }

    pub(crate) fn metadata(mut self, value: Value) -> Self {
        self.0["metadata"] = value;
        self
    }

    pub(crate) fn feature(mut self, name: &str) -> Self {
        self.0["features"][name] = json!([]);
        self
    }

    /// Sets the manifest path, instead of `/work/<name>/Cargo.toml`.
    pub(crate) fn manifest(mut self, path: &str) -> Self {
        self.0["manifest_path"] = json!(path);
        self
    }

    /// Sets the source of the package, instead of a path.
    pub(crate) fn from(mut self, source: &str) -> Self {
        self.0["source"] = json!(source);
        self
    }

    pub(crate) fn depends_on(self, name: &str) -> Self {
        let dependency = json!({
            "name": name, "req": "*", "kind": null, "optional": false,
            "uses_default_features": true, "features": [], "target": null,
        });
        self.push("dependencies", dependency)
    }

    pub(crate) fn build(self) -> Package {
        serde_json::from_value(self.0).expect("a package")
    }
}

/// Creates a workspace in `/work` with these members and these other known packages.
pub(crate) fn workspace(members: Vec<PackageJson>, others: Vec<PackageJson>) -> Metadata {
    let member_ids: Vec<Value> = members.iter().map(|member| member.0["id"].clone()).collect();
    let packages: Vec<Value> = members.into_iter().chain(others).map(|package| package.0).collect();
    let nodes: Vec<Value> = packages
        .iter()
        .map(|package| {
            let names = package["dependencies"].as_array().expect("a list");
            let ids: Vec<&Value> = names
                .iter()
                .filter_map(|dependency| {
                    packages.iter().find(|package| package["name"] == dependency["name"])
                })
                .map(|package| &package["id"])
                .collect();
            json!({"id": package["id"], "dependencies": ids, "deps": [], "features": []})
        })
        .collect();
    serde_json::from_value(json!({
        "packages": packages,
        "workspace_members": member_ids,
        "workspace_default_members": member_ids,
        "resolve": {"nodes": nodes, "root": null},
        "workspace_root": "/work",
        "target_directory": "/work/target",
        "build_directory": "/work/target",
        "metadata": null,
        "version": 1,
    }))
    .expect("metadata")
}

fn chosen(metadata: &Metadata, name: Option<&str>, directory: &str) -> String {
    match choose(metadata, name, Utf8Path::new(directory)) {
        Ok(package) => package.name.to_string(),
        Err(error) => {
            use miette::Diagnostic;
            let help = error.help().map(|help| format!("; {help}")).unwrap_or_default();
            format!("{error}{help}")
        }
    }
}

fn two_serving() -> Metadata {
    workspace(
        vec![
            package("hello").depends_on("serve-core"),
            package("chain").depends_on("serve-core"),
            package("words"),
        ],
        vec![package("serve-core").from("registry+https://github.com/rust-lang/crates.io-index")],
    )
}

#[test]
fn a_named_package_is_taken_wherever_one_is() {
    assert_eq!(chosen(&two_serving(), Some("hello"), "/work/chain"), "hello");
}

#[test]
fn the_package_of_the_directory_is_next() {
    assert_eq!(chosen(&two_serving(), None, "/work/chain/src"), "chain");
}

#[test]
fn a_directory_whose_package_does_not_serve_is_no_licence_to_take_another() {
    let message = chosen(&two_serving(), None, "/work/words");
    assert!(message.starts_with("the package `words` does not depend on serve-core"), "{message}");
}

#[test]
fn several_candidates_are_listed() {
    assert_eq!(
        chosen(&two_serving(), None, "/work"),
        "this workspace has 2 packages that depend on serve-core: chain, hello; \
         name one of them after the command, such as `chain`, or change to its directory"
    );
}

#[test]
fn the_only_member_that_serves_is_taken_in_the_root() {
    let root = package("root").manifest("/work/Cargo.toml");
    let one = workspace(
        vec![root, package("hello").depends_on("serve-core")],
        vec![package("serve-core")],
    );
    assert_eq!(chosen(&one, None, "/work"), "hello");
    assert_eq!(chosen(&one, None, "/work/docs"), "hello");
}

#[test]
fn the_innermost_package_is_the_one_of_the_directory() {
    let root = package("root").manifest("/work/Cargo.toml").depends_on("serve-core");
    let nested = workspace(
        vec![root, package("hello").depends_on("serve-core")],
        vec![package("serve-core")],
    );
    assert_eq!(chosen(&nested, None, "/work/hello"), "hello");
    assert_eq!(chosen(&nested, None, "/work"), "root");
}

#[test]
fn an_unknown_package_has_near_names() {
    assert_eq!(
        chosen(&two_serving(), Some("helo"), "/work"),
        "there is no package `helo` in this workspace; did you mean `hello`?"
    );
    assert_eq!(
        chosen(&two_serving(), Some("translator"), "/work"),
        "there is no package `translator` in this workspace; \
         the packages with applications are `chain`, `hello`"
    );
    assert!(chosen(&two_serving(), Some("serve-core"), "/work").contains("is a dependency"));
}

#[test]
fn nothing_to_serve_says_how_to_begin() {
    let none = workspace(vec![package("words")], vec![]);
    assert!(chosen(&none, None, "/work").contains("cargo serve new"));
}

#[test]
fn the_nearest_serve_core_counts() {
    let metadata = two_serving();
    let workspace =
        Workspace { metadata, directory: "/work".into(), options: CargoOptions::default() };
    let hello = workspace.package(Some("hello")).expect("a package");
    assert_eq!(workspace.serve_core(hello).map(|core| core.name.as_str()), Some("serve-core"));
    let local: Vec<&str> =
        workspace.local_packages(hello).iter().map(|package| package.name.as_str()).collect();
    assert_eq!(local, ["hello"]);
}
