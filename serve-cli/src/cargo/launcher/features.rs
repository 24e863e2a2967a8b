//! The features of the linked library.
//!
//! Cargo's flags apply to the package that it builds, which is the launcher. The features
//! that the user asks for therefore become part of the launcher's dependency on the library.

use cargo_metadata::Package;

use crate::cargo::error::Error;
use crate::cargo::options::CargoOptions;
use crate::suggest;

/// The features of a dependency.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Features {
    pub(super) without_default: bool,
    pub(super) names: Vec<String>,
}

/// Returns the features that the flags ask for, checked against the features of `package`.
pub(super) fn select(package: &Package, options: &CargoOptions) -> Result<Features, Error> {
    let mut names = Vec::new();
    if options.features.all_features {
        names.extend(package.features.keys().filter(|name| *name != "default").cloned());
    }
    for name in options.feature_names() {
        let own = name.strip_prefix(package.name.as_str()).and_then(|rest| rest.strip_prefix('/'));
        names.push(known(package, own.unwrap_or(name))?);
    }
    names.sort();
    names.dedup();
    Ok(Features { without_default: options.features.no_default_features, names })
}

fn known(package: &Package, name: &str) -> Result<String, Error> {
    if package.features.contains_key(name) {
        return Ok(name.to_owned());
    }
    let available: Vec<&str> = package.features.keys().map(String::as_str).collect();
    let help = if name.contains('/') {
        "only features of the package itself can be enabled; one of them may enable the feature of a dependency".to_owned()
    } else {
        suggest::did_you_mean(name, available.iter().copied()).unwrap_or_else(|| {
            match available.as_slice() {
                [] => "the package has no features".to_owned(),
                names => format!("the package has {}", suggest::listed(names.iter().copied())),
            }
        })
    };
    Err(Error::UnknownFeature { package: package.name.to_string(), feature: name.to_owned(), help })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cargo::workspace::tests::package;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        cargo: CargoOptions,
    }

    fn selected(flags: &[&str]) -> Result<Features, Error> {
        let package =
            package("hello").feature("default").feature("french").feature("spanish").build();
        let line = Line::parse_from(["serve"].iter().chain(flags));
        select(&package, &line.cargo)
    }

    #[test]
    fn named_features_are_checked() {
        let features = selected(&["--features", "spanish,hello/french", "--no-default-features"])
            .expect("features");
        assert_eq!(
            features,
            Features { without_default: true, names: vec!["french".into(), "spanish".into()] }
        );
        let unknown = selected(&["--features", "frensh"]).expect_err("no such feature");
        assert_eq!(unknown.to_string(), "the package `hello` has no feature `frensh`");
        assert!(selected(&["--features", "serde/derive"]).is_err());
    }

    #[test]
    fn all_features_are_named_one_by_one() {
        let features = selected(&["--all-features"]).expect("features");
        assert_eq!(features.names, ["french", "spanish"]);
    }
}
