//! `cargo serve eject`: turns the launcher into a binary of the package.
//!
//! The package then owns its `main`: it can set up logging, link more crates, or read its
//! own arguments first.

use std::fs;

use cargo_metadata::Package;
use cargo_metadata::camino::Utf8Path;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table};

use super::error::{CREATE, Error, WRITE};
use super::options::CargoOptions;
use super::serve_cli_source::ServeCli;
use super::target::{self, ProgramSource};
use super::workspace::{SERVE_CLI, Workspace, not_serve};
use crate::{exit_code, output};

const MAIN: &str = include_str!("../../templates/serve.rs");
const BINARY: &str = "serve";
const MAIN_FILE: &str = "src/bin/serve.rs";

/// Writes the binary and names it in the manifest.
pub(crate) fn run(options: &CargoOptions, package: Option<&str>) -> Result<u8, Error> {
    let workspace = Workspace::load(options)?;
    let package = workspace.package(package)?;
    let ProgramSource::Library { crate_name } = target::program_source(&workspace, package)? else {
        return Err(Error::HasProgram {
            package: package.name.to_string(),
            manifest: package.manifest_path.clone(),
        });
    };
    let serve_core = workspace.serve_core(package).ok_or_else(|| not_serve(package))?;
    let serve_cli = ServeCli::beside(serve_core, package)?;
    let directory = package.manifest_path.parent().unwrap_or(&workspace.metadata.workspace_root);
    let main = directory.join(MAIN_FILE);
    if main.exists() || target::binaries(package).contains(&BINARY) {
        return Err(Error::Exists {
            path: main.into(),
            help: format!(
                "if its `main` ends with `serve_cli::main()`, name it in {}:\n\n[package.metadata.serve]\nbin = \"{BINARY}\"",
                package.manifest_path
            ),
        });
    }

    let text = fs::read_to_string(&package.manifest_path)
        .map_err(Error::file("read", &package.manifest_path))?;
    let manifest = edited(&text, package, &serve_cli, directory)?;
    let bin = directory.join("src").join("bin");
    fs::create_dir_all(&bin).map_err(Error::file(CREATE, &bin))?;
    fs::write(&main, MAIN.replace("{{crate}}", &crate_name)).map_err(Error::file(WRITE, &main))?;
    fs::write(&package.manifest_path, manifest)
        .map_err(Error::file(WRITE, &package.manifest_path))?;

    output::status("Created", &main);
    output::status("Changed", &package.manifest_path);
    output::note(format_args!(
        "\n`cargo serve run {}:APP` works as before, and so does `cargo run --bin {BINARY} -- run APP`.",
        package.name
    ));
    Ok(exit_code::OK)
}

/// Returns the manifest with the binary named and `serve-cli` added. Everything else is
/// unchanged.
fn edited(
    text: &str,
    package: &Package,
    serve_cli: &ServeCli,
    directory: &Utf8Path,
) -> Result<String, Error> {
    let mut manifest: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        Error::Manifest { path: package.manifest_path.clone().into(), source: Box::new(error) }
    })?;
    let autobins = manifest["package"].get("autobins").and_then(Item::as_bool);
    if autobins == Some(false) {
        let mut binary = Table::new();
        binary["name"] = toml_edit::value(BINARY);
        binary["path"] = toml_edit::value(MAIN_FILE);
        let binaries =
            manifest.entry("bin").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        if let Some(binaries) = binaries.as_array_of_tables_mut() {
            binaries.push(binary);
        }
    }
    let mut serve = Table::new();
    serve["bin"] = toml_edit::value(BINARY);
    insert(section(&mut manifest["package"], "metadata"), "serve", serve);

    let dependencies = section(manifest.as_item_mut(), "dependencies");
    if dependencies.get(SERVE_CLI).is_none() {
        dependencies[SERVE_CLI] = Item::Value(serve_cli.as_written_in(directory));
    }
    Ok(manifest.to_string())
}

/// Returns the table `key` of `parent`. A table that is created here has no header of its own.
fn section<'i>(parent: &'i mut Item, key: &str) -> &'i mut Item {
    let section = &mut parent[key];
    if section.is_none() {
        let mut table = Table::new();
        table.set_implicit(true);
        *section = Item::Table(table);
    }
    section
}

fn insert(parent: &mut Item, key: &str, table: Table) {
    if let Some(parent) = parent.as_table_like_mut() {
        parent.insert(key, Item::Table(table));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::workspace::tests::package;

    fn ejected(manifest: &str) -> String {
        let package = package("hello").library("hello", &["lib"]).build();
        let serve_cli = ServeCli::Path("/serve/serve-cli".into());
        edited(manifest, &package, &serve_cli, "/work/hello".into()).expect("a manifest")
    }

    #[test]
    fn comments_and_order_stay() {
        let manifest = "\
# Says hello.
[package]
name = \"hello\" # its name
edition = \"2024\"

[lib]
name = \"hello\"

# What it needs.
[dependencies]
serve-core = \"0.1\" # the runtime

[dev-dependencies]
tokio = \"1\"
";
        insta::assert_snapshot!(ejected(manifest), @r#"
        # Says hello.
        [package]
        name = "hello" # its name
        edition = "2024"

        [package.metadata.serve]
        bin = "serve"

        [lib]
        name = "hello"

        # What it needs.
        [dependencies]
        serve-core = "0.1" # the runtime
        serve-cli = { default-features = false, path = "../../serve/serve-cli" }

        [dev-dependencies]
        tokio = "1"
        "#);
    }

    #[test]
    fn what_is_not_discovered_is_declared() {
        let manifest = "\
[package]
name = \"hello\"
autobins = false
metadata = { docs = { all = true } }

[dependencies]
serve-core = \"0.1\"
serve-cli = \"0.1\"
";
        insta::assert_snapshot!(ejected(manifest), @r#"
        [package]
        name = "hello"
        autobins = false
        metadata = { docs = { all = true } , serve = { bin = "serve" } }

        [dependencies]
        serve-core = "0.1"
        serve-cli = "0.1"

        [[bin]]
        name = "serve"
        path = "src/bin/serve.rs"
        "#);
    }
}
