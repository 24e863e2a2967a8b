//! The selection of a registered application, and its construction with the given arguments.

use std::env;

use serve_core::dynamic::{AnyApplication, BuildError, RegisteredApplication, registered};

use super::error::Error;
use super::error_chain::ErrorChain;
use super::schema::{self, Field};
use crate::arguments::{ApplicationPath, Assignment, Method, repeated};
use crate::suggest::{self, same_package};
use crate::{PACKAGE_VARIABLE, output};

/// Returns the application that `path` names, or the only one if there is no path.
pub(super) fn application(
    path: Option<&ApplicationPath>,
) -> Result<&'static RegisteredApplication, Error> {
    let home = home();
    match path {
        Some(path) => find(&registered(), path, home.as_deref()),
        None => only(&registered(), home.as_deref()),
    }
}

/// Returns the application to call, and the name of its method.
pub(super) fn method(
    method: Method<'_>,
) -> Result<(&'static RegisteredApplication, String), Error> {
    match method {
        Method::Of(path, method) => Ok((application(Some(path))?, method.to_owned())),
        Method::Alone(path) => method_alone(&registered(), path, home().as_deref()),
    }
}

/// Returns the method that one word names: a method of the only application.
fn method_alone<'r>(
    registered: &[&'r RegisteredApplication],
    path: &ApplicationPath,
    home: Option<&str>,
) -> Result<(&'r RegisteredApplication, String), Error> {
    let of_package = |known: &&&RegisteredApplication| match &path.package {
        Some(package) => same_package(known.package, package),
        None => true,
    };
    let known: Vec<_> = registered.iter().filter(of_package).copied().collect();
    let word = &path.application;
    match only(&known, home) {
        Ok(only) if only.name != word && !same_package(only.package, word) => {
            Ok((only, word.clone()))
        }
        only => match find(registered, path, home) {
            Ok(found) => Err(Error::NoMethod { application: found.full_name() }),
            Err(unknown) if known.is_empty() => Err(unknown),
            Err(_) => only.map(|only| (only, word.clone())),
        },
    }
}

/// Returns the package whose applications need no `PACKAGE:`.
pub(super) fn home() -> Option<String> {
    env::var(PACKAGE_VARIABLE).ok().filter(|package| !package.is_empty())
}

/// Returns the only application of the package `home`, or of the whole program if that package
/// has none.
fn only<'r>(
    registered: &[&'r RegisteredApplication],
    home: Option<&str>,
) -> Result<&'r RegisteredApplication, Error> {
    let at_home = |known: &&&RegisteredApplication| home == Some(known.package);
    let mut candidates: Vec<_> = registered.iter().filter(at_home).copied().collect();
    if candidates.is_empty() {
        candidates = registered.to_vec();
    }
    match candidates.as_slice() {
        [one] => Ok(one),
        [] => Err(Error::NoApplications { package: home.unwrap_or_default().to_owned() }),
        several => Err(Error::WhichApplication {
            applications: several
                .iter()
                .map(|known| format!("\n  {}", known.full_name()))
                .collect(),
        }),
    }
}

fn find<'r>(
    registered: &[&'r RegisteredApplication],
    path: &ApplicationPath,
    home: Option<&str>,
) -> Result<&'r RegisteredApplication, Error> {
    let named = |application: &&&RegisteredApplication| application.name == path.application;
    let of = |package: &str| -> Vec<&'r RegisteredApplication> {
        registered
            .iter()
            .filter(named)
            .filter(|found| same_package(found.package, package))
            .copied()
            .collect()
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
            path: output::name(&path.to_string()),
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
    let of_package =
        |found: &&&RegisteredApplication| same_package(found.package, &path.application);
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
        Some(package) if registered.iter().all(|known| !same_package(known.package, package)) => {
            format!(
                "\nnone of them is in the package `{}`: \
             a crate that the program never names is not linked (`use other_crate as _;`)",
                output::name(package)
            )
        }
        _ => String::new(),
    };
    Error::UnknownApplication {
        path: output::name(&path.to_string()),
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
    fn without_a_name_it_is_the_only_application_of_the_package() {
        let only = |home: Option<&str>, packages: &[&str]| {
            let registered = registered();
            let linked: Vec<&RegisteredApplication> =
                registered.iter().filter(|known| packages.contains(&known.package)).collect();
            super::only(&linked, home)
                .map(|found| found.full_name())
                .map_err(|error| format!("{error}\n{}", error.help().expect("there is help")))
        };
        let all = ["hello", "words", "ocr"];
        assert_eq!(only(Some("ocr"), &all).expect("one"), "ocr:read");
        // The program of a package without applications of its own, or a program by itself.
        assert_eq!(only(Some("server"), &["ocr"]).expect("one"), "ocr:read");
        assert_eq!(only(None, &["ocr"]).expect("one"), "ocr:read");
        insta::assert_snapshot!(only(Some("hello"), &all).expect_err("two"), @"
        the program has several applications; which one?
        name one of these:
          hello:chain
          hello:language_classifier
        ");
        assert!(only(None, &[]).expect_err("none").starts_with("no application is linked"));
    }

    #[test]
    fn a_method_alone_is_one_of_the_only_application() {
        let call = |path: &str, home: &str| {
            let registered = registered();
            let registered: Vec<&RegisteredApplication> = registered.iter().collect();
            method_alone(&registered, &path.parse().expect("a path"), Some(home))
                .map(|(application, method)| format!("{}.{method}", application.full_name()))
                .map_err(|error| error.to_string())
        };
        assert_eq!(call("lines", "ocr"), Ok("ocr:read.lines".to_owned()));
        assert_eq!(call("ocr:lines", "hello"), Ok("ocr:read.lines".to_owned()));
        // An application is no method.
        let no_method = "the call names the application `ocr:read`, but no method".to_owned();
        assert_eq!(call("read", "ocr"), Err(no_method.clone()));
        assert_eq!(call("ocr:read", "hello"), Err(no_method));
        assert!(call("lines", "hello").expect_err("two").contains("several applications"));
        assert!(call("other:lines", "ocr").expect_err("none").contains("`other:lines`"));
    }

    #[test]
    fn a_package_may_be_written_like_its_crate() {
        let application = RegisteredApplication {
            package: "my-app",
            name: "app",
            doc: "",
            file: "src/lib.rs",
            line: 1,
            schema: None,
            make: |_| Err(BuildError::Argument("unused".to_owned())),
        };
        let path = |text: &str| text.parse().expect("a path");
        for text in ["my_app:app", "my-app:app", "my_app"] {
            assert!(find(&[&application], &path(text), None).is_ok(), "{text}");
        }
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
