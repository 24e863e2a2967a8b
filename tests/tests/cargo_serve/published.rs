//! The packages that are published have everything that a registry and its readers expect.

use std::fs;

use serve_tests::{CargoServe, repository};

const PUBLISHED: [&str; 3] = ["serve-macros", "serve-core", "serve-cli"];

#[test]
fn each_package_has_its_licences_and_a_readme() {
    for package in PUBLISHED {
        let list = ["package", "--list", "--allow-dirty", "--offline", "-p", package];
        let finished = CargoServe::cargo_in_repository(list).finish();
        assert_eq!(finished.code, Some(0), "{package}: {finished}");
        let files: Vec<&str> = finished.stdout.lines().collect();
        for file in ["LICENSE-MIT", "LICENSE-APACHE", "README.md", "Cargo.toml", "src/lib.rs"] {
            assert!(files.contains(&file), "{package} has no {file}: {finished}");
        }
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let text = |path| fs::read_to_string(path).expect("a licence");
            let own = text(repository().join(package).join(licence));
            assert_eq!(own, text(repository().join(licence)), "{package}");
        }
    }
}

#[test]
fn each_manifest_describes_its_package() {
    let metadata = ["metadata", "--no-deps", "--offline", "--format-version=1"];
    let finished = CargoServe::cargo_in_repository(metadata).finish();
    let metadata: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    let published = packages.iter().filter(|package| {
        // An empty list of registries means that it is not published.
        package["publish"].is_null()
            && PUBLISHED.contains(&package["name"].as_str().expect("a name"))
    });
    let mut seen = 0;
    for package in published {
        for key in ["description", "license", "repository", "readme", "rust_version"] {
            assert!(package[key].is_string(), "{}: {key}", package["name"]);
        }
        let keywords = package["keywords"].as_array().expect("a list");
        assert!((1..=5).contains(&keywords.len()), "{keywords:?}: a registry takes five");
        assert!(!package["categories"].as_array().expect("a list").is_empty());
        seen += 1;
    }
    assert_eq!(seen, PUBLISHED.len());
}
