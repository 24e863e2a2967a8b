//! The selection of a registered application, and its construction with the given arguments.

use std::env;

use serve_core::application::{AnyApplication, BuildError, RegisteredApplication, registered};

use super::error::Error;
use super::error_chain::ErrorChain;
use super::schema::{self, Field};
use crate::arguments::{ApplicationPath, Assignment, repeated};
use crate::{PACKAGE_VARIABLE, suggest};

/// Returns the application that `path` names.
pub(super) fn application(path: &ApplicationPath) -> Result<&'static RegisteredApplication, Error> {
    find(&registered(), path, home().as_deref())
}

/// Returns the package whose applications need no `PACKAGE:`.
pub(super) fn home() -> Option<String> {
    env::var(PACKAGE_VARIABLE).ok().filter(|package| !package.is_empty())
}

fn find<'r>(
    registered: &[&'r RegisteredApplication],
    path: &ApplicationPath,
    home: Option<&str>,
) -> Result<&'r RegisteredApplication, Error> {
    let named = |application: &&&RegisteredApplication| application.name == path.application;
    let of = |package: &str| -> Vec<&'r RegisteredApplication> {
        registered.iter().filter(named).filter(|found| found.package == package).copied().collect()
    };
    let found = match (&path.package, home) {
        (Some(package), _) => of(package),
        (None, Some(home)) if !of(home).is_empty() => of(home),
        (None, _) => registered.iter().filter(named).copied().collect(),
    };
    let found = if found.is_empty() { only_one_of(registered, path) } else { found };
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(unknown(registered, path, home)),
        several => Err(Error::SeveralApplications {
            path: path.to_string(),
            places: several
                .iter()
                .map(|found| format!("  {} at {}:{}", found.full_name(), found.file, found.line))
                .collect::<Vec<_>>()
                .join("\n"),
        }),
    }
}

/// Returns the only application of a package whose name is given instead of an application's.
fn only_one_of<'r>(
    registered: &[&'r RegisteredApplication],
    path: &ApplicationPath,
) -> Vec<&'r RegisteredApplication> {
    let of_package = |found: &&&RegisteredApplication| found.package == path.application;
    let mut found = registered.iter().filter(of_package).copied();
    match (&path.package, found.next(), found.next()) {
        (None, Some(only), None) => vec![only],
        _ => Vec::new(),
    }
}

fn unknown(
    registered: &[&RegisteredApplication],
    path: &ApplicationPath,
    home: Option<&str>,
) -> Error {
    if registered.is_empty() {
        return Error::NoApplications { package: home.map(str::to_owned).unwrap_or_default() };
    }
    let names: Vec<String> = registered.iter().map(|known| known.full_name()).collect();
    let near = suggest::nearest(&path.application, registered.iter().map(|known| known.name));
    // Near names first, then the others in their order.
    let (mut listed, rest): (Vec<_>, Vec<_>) =
        registered.iter().zip(&names).partition(|(known, _)| near.contains(&known.name));
    listed.sort_by_key(|(known, _)| near.iter().position(|name| *name == known.name));
    let suggestion = match listed.as_slice() {
        [] => String::new(),
        [(_, nearest), ..] => format!("did you mean `{nearest}`? "),
    };
    let mut all: Vec<String> =
        listed.into_iter().chain(rest).map(|(_, name)| format!("\n  {name}")).collect();
    all.dedup();
    let package = path.package.as_deref().or(home);
    let foreign = match package {
        Some(package) if registered.iter().all(|known| known.package != package) => format!(
            "\nnone of them is in the package `{package}`: \
             a crate that the program never names is not linked (`use other_crate as _;`)"
        ),
        _ => String::new(),
    };
    Error::UnknownApplication {
        path: path.to_string(),
        help: format!("{suggestion}the program has{}{foreign}", all.concat()),
    }
}

/// Builds the application with the arguments from the command line.
pub(super) fn build(
    selected: &RegisteredApplication,
    values: &[Assignment],
) -> Result<AnyApplication, Error> {
    let refused = |problem: String| Error::BadArgument {
        what: format!("the application `{}`", selected.full_name()),
        problem,
        help: takes(&fields(selected)),
    };
    if let Some(key) = repeated(values) {
        return Err(refused(format!("`{key}` is given twice")));
    }
    // Checked against the schema, since deserialization may ignore unknown keys.
    let schema = selected.argument_schema().unwrap_or_default();
    if let Some(problem) = schema::mismatch(&schema, values) {
        return Err(refused(problem));
    }
    let values = values.iter().map(|assignment| (assignment.key.clone(), assignment.value.clone()));
    selected.build(schema::texts(values)).map_err(|error| match error {
        BuildError::Failed(source) => {
            Error::ApplicationFailed { name: selected.full_name(), source: ErrorChain::of(&source) }
        }
        // All other errors are about the argument.
        error => refused(error.to_string()),
    })
}

/// Returns the fields that the application takes.
pub(super) fn fields(application: &RegisteredApplication) -> Vec<Field> {
    application.argument_schema().map_or_else(Vec::new, |schema| schema::fields(&schema))
}

fn takes(fields: &[Field]) -> String {
    if fields.is_empty() {
        return "remove the arguments".to_owned();
    }
    let width = fields.iter().map(|field| field.usage().len()).max().unwrap_or_default();
    let lines = fields.iter().map(|field| {
        let line = format!("  {:width$}   {}", field.usage(), field.about);
        format!("\n{}", line.trim_end())
    });
    format!("the application takes{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use miette::Diagnostic;

    use super::*;

    fn registered() -> Vec<RegisteredApplication> {
        let application = |package, name, line| RegisteredApplication {
            package,
            name,
            doc: "",
            file: "src/lib.rs",
            line,
            schema: None,
            make: |_| Err(BuildError::Argument("unused".to_owned())),
        };
        vec![
            application("hello", "chain", 10),
            application("hello", "language_classifier", 20),
            application("words", "chain", 30),
            application("words", "count", 40),
            application("words", "twice", 50),
            application("words", "twice", 60),
            application("ocr", "read", 70),
        ]
    }

    fn found(path: &str, home: Option<&str>) -> String {
        let registered = registered();
        let registered: Vec<&RegisteredApplication> = registered.iter().collect();
        match find(&registered, &path.parse().expect("a path"), home) {
            Ok(found) => found.full_name(),
            Err(error) => {
                let help = error.help().map(|help| format!("\n{help}")).unwrap_or_default();
                format!("{error}{help}")
            }
        }
    }

    #[test]
    fn the_package_at_home_is_preferred() {
        assert_eq!(found("chain", Some("hello")), "hello:chain");
        assert_eq!(found("chain", Some("words")), "words:chain");
        assert_eq!(found("words:chain", Some("hello")), "words:chain");
    }

    #[test]
    fn an_application_of_another_crate_is_found_by_its_name() {
        assert_eq!(found("count", Some("hello")), "words:count");
        assert_eq!(found("count", None), "words:count");
    }

    #[test]
    fn a_package_with_one_application_stands_for_it() {
        assert_eq!(found("ocr", Some("ocr")), "ocr:read");
        assert!(found("hello", Some("hello")).starts_with("there is no application `hello`"));
        assert!(found("words:ocr", Some("ocr")).starts_with("there is no application `words:ocr`"));
    }

    #[test]
    fn what_is_ambiguous_is_not_guessed() {
        insta::assert_snapshot!(found("chain", None), @"
        several applications are called `chain`:
          hello:chain at src/lib.rs:10
          words:chain at src/lib.rs:30
        write PACKAGE:APP; within a package, give each application its own name
        ");
        insta::assert_snapshot!(found("words:twice", None), @"
        several applications are called `words:twice`:
          words:twice at src/lib.rs:50
          words:twice at src/lib.rs:60
        write PACKAGE:APP; within a package, give each application its own name
        ");
    }

    #[test]
    fn an_unknown_one_has_near_ones() {
        insta::assert_snapshot!(found("hello:language_clasifier", Some("hello")), @"
        there is no application `hello:language_clasifier`
        did you mean `hello:language_classifier`? the program has
          hello:language_classifier
          hello:chain
          words:chain
          words:count
          words:twice
          ocr:read
        ");
    }

    #[test]
    fn a_package_that_is_not_linked_is_pointed_out() {
        insta::assert_snapshot!(found("other:app", Some("hello")), @"
        there is no application `other:app`
        the program has
          hello:chain
          hello:language_classifier
          words:chain
          words:count
          words:twice
          ocr:read
        none of them is in the package `other`: a crate that the program never names is not linked (`use other_crate as _;`)
        ");
    }
}
