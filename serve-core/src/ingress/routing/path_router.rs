//! `PathRouter`: the choice of the endpoint for a path and a method, within one application. This is
//! plain data: endpoints are known by number here.

use http::{HeaderValue, Method};

use crate::application::EndpointError;
use crate::ingress::endpoint_info::numbered;

/// The declaration of an endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declaration<'a> {
    pub(crate) verb: &'a Method,
    pub(crate) path: &'static str,
    /// The name of the deployment's method.
    pub(crate) name: &'static str,
}

/// The paths of one application.
#[derive(Debug, Default)]
pub(crate) struct PathRouter {
    /// The indices in `entries`, by pattern.
    patterns: matchit::Router<usize>,
    entries: Vec<Entry>,
}

/// One path and the endpoints on it.
#[derive(Debug)]
pub(crate) struct Entry {
    pattern: String,
    verbs: Vec<(Method, usize)>,
    /// The `Allow` header of the response to a wrong method.
    pub(crate) allow: HeaderValue,
}

impl PathRouter {
    pub(crate) fn of<'a>(
        declarations: impl IntoIterator<Item = Declaration<'a>> + Clone,
    ) -> Result<Self, EndpointError> {
        let names: Vec<_> = declarations.clone().into_iter().map(|one| one.name).collect();
        let mut paths = Self::default();
        for (number, declaration) in declarations.into_iter().enumerate() {
            paths.insert(number, declaration, &names)?;
        }
        for entry in &mut paths.entries {
            entry.allow = allow(&entry.verbs);
        }
        Ok(paths)
    }

    fn insert(
        &mut self,
        number: usize,
        declaration: Declaration<'_>,
        names: &[&'static str],
    ) -> Result<(), EndpointError> {
        let Declaration { verb, path, name } = declaration;
        let pattern = numbered(path);
        let known = self.entries.iter().position(|entry| entry.pattern == pattern);
        let place = match known {
            Some(place) => place,
            None => {
                let place = self.entries.len();
                self.patterns.insert(pattern.as_str(), place).map_err(|error| {
                    EndpointError::Path {
                        method: name.to_owned(),
                        path: path.to_owned(),
                        reason: error.to_string(),
                    }
                })?;
                let allow = HeaderValue::from_static("");
                self.entries.push(Entry { pattern, verbs: Vec::new(), allow });
                place
            }
        };
        let verbs = &mut self.entries[place].verbs;
        if let Some((_, other)) = verbs.iter().find(|(known, _)| known == verb) {
            return Err(EndpointError::Twice {
                first: names[*other].to_owned(),
                second: name.to_owned(),
                verb: verb.to_string(),
                path: path.to_owned(),
            });
        }
        verbs.push((verb.clone(), number));
        Ok(())
    }

    /// Returns the endpoints on a path, and the values of the path's parameters in order, not yet
    /// decoded.
    pub(crate) fn find<'a>(
        &self,
        path: &'a str,
    ) -> Option<(&Entry, impl Iterator<Item = &'a str> + use<'_, 'a>)> {
        let found = self.patterns.at(path).ok()?;
        // matchit accepts an empty segment for a parameter, unless the segment is the last one.
        if found.params.iter().any(|(_, value)| value.is_empty()) {
            return None;
        }
        let values: Vec<&'a str> = match found.params.is_empty() {
            true => Vec::new(),
            false => found.params.iter().map(|(_, value)| value).collect(),
        };
        Some((&self.entries[*found.value], values.into_iter()))
    }

    /// True if some endpoint has exactly this path.
    pub(crate) fn has(&self, path: &str) -> bool {
        let pattern = numbered(path);
        self.entries.iter().any(|entry| entry.pattern == pattern)
    }
}

impl Entry {
    /// Returns the number of the endpoint for a method. `HEAD` is answered like `GET`.
    pub(crate) fn endpoint(&self, method: &Method) -> Option<usize> {
        let find = |wanted: &Method| {
            self.verbs.iter().find(|(verb, _)| verb == wanted).map(|(_, number)| *number)
        };
        find(method).or_else(|| if method == Method::HEAD { find(&Method::GET) } else { None })
    }
}

/// Formats the `Allow` header as axum does, with `HEAD` beside `GET`.
fn allow(verbs: &[(Method, usize)]) -> HeaderValue {
    let names: Vec<&str> = verbs
        .iter()
        .flat_map(|(verb, _)| match *verb {
            Method::GET => ["GET", "HEAD"].as_slice().to_vec(),
            _ => vec![verb.as_str()],
        })
        .collect();
    HeaderValue::try_from(names.join(",")).expect("names of methods are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (&'static Method, &'static str, &'static str);

    fn paths(rows: &[Row]) -> Result<PathRouter, EndpointError> {
        PathRouter::of(rows.iter().map(|(verb, path, name): &Row| Declaration { verb, path, name }))
    }

    #[test]
    fn methods_on_one_path_may_name_its_parameters_differently() {
        let paths = paths(&[
            (&Method::GET, "/papers/{id}", "get"),
            (&Method::PUT, "/papers/{paper}", "put"),
            (&Method::GET, "/papers/latest", "latest"),
            (&Method::GET, "/files/{*path}", "file"),
        ])
        .unwrap();
        let found =
            |path| paths.find(path).map(|(entry, values)| (entry, values.collect::<Vec<_>>()));
        let (entry, values) = found("/papers/7").unwrap();
        assert_eq!(
            (entry.endpoint(&Method::GET), entry.endpoint(&Method::PUT)),
            (Some(0), Some(1))
        );
        assert_eq!(entry.endpoint(&Method::HEAD), Some(0));
        assert_eq!(entry.endpoint(&Method::POST), None);
        assert_eq!(entry.allow, "GET,HEAD,PUT");
        assert_eq!(values, ["7"]);
        assert_eq!(found("/papers/latest").unwrap().0.endpoint(&Method::GET), Some(2));
        assert_eq!(found("/files/a/b").unwrap().1, ["a/b"]);
        assert!(found("/papers").is_none());
        assert!(paths.has("/papers/{any}") && !paths.has("/docs"));
    }

    #[test]
    fn a_parameter_is_a_segment_that_is_not_empty() {
        let paths = paths(&[
            (&Method::GET, "/x/{a}/y/{b}", "one"),
            (&Method::GET, "/{c}/z", "two"),
            (&Method::GET, "/files/{*path}", "file"),
        ])
        .unwrap();
        let found = |path| paths.find(path).map(|(_, values)| values.collect::<Vec<_>>());
        assert_eq!(found("/x/1/y/2").unwrap(), ["1", "2"]);
        assert_eq!(found("/files//").unwrap(), ["/"]);
        for path in ["/x//y/2", "/x/1/y/", "/x//y/", "//z", "/z", "/files/", "/files"] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn two_endpoints_in_one_place_are_refused_by_name() {
        let twice =
            paths(&[(&Method::GET, "/x/{a}", "one"), (&Method::GET, "/x/{b}", "two")]).unwrap_err();
        assert_eq!(
            twice.to_string(),
            "`one` and `two` are both the endpoint GET /x/{b}; change one of them"
        );
        let bad = paths(&[(&Method::GET, "/x/{a}{b}", "one")]).unwrap_err();
        assert!(matches!(bad, EndpointError::Path { .. }), "{bad:?}");
    }
}
