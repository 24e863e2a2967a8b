//! [`Path`], the path of an endpoint. A path that no request can reach is refused where it is
//! written, and so are two paths that cannot be told apart.

use std::fmt::Write as _;

/// The path of an endpoint, segment by segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path(Vec<Segment>);

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// `{name}`
    Parameter(String),
    /// `{*name}`
    Rest(String),
}

/// The relation of two paths that no request can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clash {
    /// The same requests have both paths.
    Same,
    /// One path has `{name}` where the other one has `{*name}`.
    Ambiguous,
}

impl Path {
    /// Parses a path. The error says what to write.
    pub(crate) fn parse(path: &str) -> Result<Self, String> {
        let Some(below) = path.strip_prefix('/') else {
            return Err(match path.split_once("://") {
                Some(_) => "write the path alone, without the scheme and the host".to_owned(),
                None => format!("a path starts with `/`: write `/{path}`"),
            });
        };
        let outside = |before: &str| before.matches('{').count() == before.matches('}').count();
        if let Some((before, _)) = path.split_once(['?', '#'])
            && outside(before)
        {
            return Err(format!(
                "a path has no query and no fragment: write `{before}`; parameters that the path \
                 does not name are read from the query or the body"
            ));
        }
        if path.starts_with("/-/") {
            return Err(
                "paths below `/-/` are reserved for the runtime, like `/-/healthz`: choose \
                        another path"
                    .to_owned(),
            );
        }
        if path.contains("//") {
            return Err(format!("the path has an empty segment: write `{}`", collapsed(path)));
        }
        let mut segments: Vec<Segment> = Vec::new();
        for text in below.split('/') {
            if let Some(Segment::Rest(name)) = segments.last() {
                return Err(format!(
                    "`{{*{name}}}` takes the rest of the path: make it the last segment"
                ));
            }
            let segment = Segment::parse(text, path)?;
            if let Some(name) = segment.name()
                && segments.iter().any(|other| other.name() == Some(name))
            {
                return Err(format!(
                    "the path has two parameters `{{{name}}}`: give each of them its own name"
                ));
            }
            segments.push(segment);
        }
        Ok(Self(segments))
    }

    /// Returns the parameters that the path names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(Segment::name)
    }

    /// Returns the relation of two paths that cannot be told apart; `None` if they can.
    pub(crate) fn clash(&self, other: &Self) -> Option<Clash> {
        for (one, other) in self.0.iter().zip(&other.0) {
            match (one, other) {
                (Segment::Literal(one), Segment::Literal(other)) if one == other => {}
                (Segment::Parameter(_), Segment::Parameter(_)) => {}
                (Segment::Rest(_), Segment::Rest(_)) => return Some(Clash::Same),
                (Segment::Parameter(_), Segment::Rest(_))
                | (Segment::Rest(_), Segment::Parameter(_)) => return Some(Clash::Ambiguous),
                // A literal takes precedence over a parameter.
                _ => return None,
            }
        }
        (self.0.len() == other.0.len()).then_some(Clash::Same)
    }
}

impl Segment {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Parameter(name) | Self::Rest(name) => Some(name),
        }
    }

    fn parse(text: &str, path: &str) -> Result<Self, String> {
        if text.contains(['{', '}']) {
            return Self::parameter(text);
        }
        // The parameters of other frameworks.
        let foreign = |start: char| text.strip_prefix(start).map(|name| name.trim_end_matches('>'));
        if let Some(name) = foreign(':').or_else(|| foreign('<')) {
            let name = name.rsplit_once(':').map_or(name, |(_, name)| name);
            return Err(format!("`{text}` is not a parameter: write `{{{}}}`", or_id(name)));
        }
        if let Some(name) = foreign('*') {
            return Err(format!(
                "`{text}` is not a parameter: write `{{*{}}}` for the rest of the path",
                if is_name(name) { name } else { "rest" }
            ));
        }
        if [".", ".."].contains(&text) {
            return Err(format!(
                "no request has the segment `{text}`, because clients resolve it: leave it out"
            ));
        }
        literal(text, path)?;
        Ok(Self::Literal(text.to_owned()))
    }

    fn parameter(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let Some(inner) = inner.filter(|inner| !inner.contains(['{', '}'])) else {
            return Err(format!("`{text}`: a parameter is a whole segment, like `/{{id}}`"));
        };
        if let Some(name) = inner.strip_prefix('*')
            && is_name(name)
        {
            return Ok(Self::Rest(name.to_owned()));
        }
        if is_name(inner) {
            return Ok(Self::Parameter(inner.to_owned()));
        }
        let name = inner.trim_matches(|c| "*.".contains(c));
        if inner != name && is_name(name) {
            return Err(format!("`{text}`: write `{{*{name}}}` for the rest of the path"));
        }
        match inner.split_once(':') {
            Some((name, "path")) if is_name(name) => {
                Err(format!("`{text}`: write `{{*{name}}}` for the rest of the path"))
            }
            Some((name, _)) => Err(format!(
                "`{text}`: write `{{{}}}`; the type is that of the method's parameter",
                or_id(name)
            )),
            None => Err(format!(
                "`{text}`: a parameter has the name of one of the method's parameters, like `{{id}}`"
            )),
        }
    }
}

/// Checks that requests can have a literal segment: they have percent-encoded what a path cannot
/// contain.
fn literal(text: &str, path: &str) -> Result<(), String> {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '%' {
            let digits = rest.get(1..3).filter(|digits| is_hex(digits));
            let Some(digits) = digits else {
                return Err(format!(
                    "`%` begins a percent-encoded byte, like `%20`: write `{}`",
                    path.replacen(text, &text.replacen('%', "%25", 1), 1)
                ));
            };
            if digits.contains(|c: char| c.is_ascii_lowercase()) {
                let upper = digits.to_ascii_uppercase();
                return Err(format!(
                    "clients percent-encode in upper case: write `%{upper}` in place of `%{digits}`"
                ));
            }
            let byte = u8::from_str_radix(digits, 16).unwrap_or_default();
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                return Err(format!(
                    "clients do not percent-encode `{0}`: write `{0}` in place of `%{digits}`",
                    char::from(byte)
                ));
            }
            rest = &rest[3..];
            continue;
        }
        if !c.is_ascii() || " \"<>".contains(c) {
            return Err(format!(
                "clients percent-encode `{c}` in a path: write `{}`",
                path.replacen(text, &encoded(text), 1)
            ));
        }
        if c.is_ascii_control() || r"[]|\^`".contains(c) {
            return Err(format!("a path cannot contain `{}`: leave it out", c.escape_default()));
        }
        rest = &rest[c.len_utf8()..];
    }
    Ok(())
}

fn encoded(text: &str) -> String {
    text.chars().fold(String::new(), |mut encoded, c| {
        if c.is_ascii() && !" \"<>".contains(c) {
            encoded.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
        encoded
    })
}

fn is_hex(digits: &str) -> bool {
    digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// Returns true for the name of a parameter of a method, without the `r#` of a raw one.
fn is_name(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    begins && name != "_" && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn or_id(name: &str) -> &str {
    if is_name(name) { name } else { "id" }
}

fn collapsed(path: &str) -> String {
    let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let end = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    format!("/{}{end}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(path: &str) -> String {
        Path::parse(path).expect_err(path)
    }

    #[test]
    fn a_path_names_its_parameters() {
        let names = |path| Path::parse(path).map(|path| path.names().map(String::from).collect());
        assert_eq!(names("/papers/{id}/{*rest}"), Ok(vec!["id".to_owned(), "rest".to_owned()]));
        for path in ["/", "/a/", "/-", "/a-b/c.d/~e/f:g/@h", "/v1/models:list", "/%C3%BC/%2F"] {
            assert_eq!(names(path), Ok(Vec::new()), "{path}");
        }
    }

    #[test]
    fn a_path_that_no_request_reaches_is_refused_with_what_to_write() {
        for (path, said) in [
            ("", "write `/`"),
            ("papers", "write `/papers`"),
            ("https://example.com/a", "without the scheme and the host"),
            ("/a?b={b}", "write `/a`"),
            ("/a#b", "write `/a`"),
            ("/-/mine", "reserved"),
            ("//", "write `/`"),
            ("/a//b/", "write `/a/b/`"),
            ("/a/../b", "leave it out"),
            ("/ü", "write `/%C3%BC`"),
            ("/a b/c", "write `/a%20b/c`"),
            ("/100%", "write `/100%25`"),
            ("/%c3", "write `%C3`"),
            ("/%61", "write `a`"),
            ("/a\\b", "cannot contain"),
            ("/a\tb", "cannot contain"),
        ] {
            assert!(fault(path).contains(said), "{path}: {}", fault(path));
        }
    }

    #[test]
    fn a_parameter_is_written_in_one_way() {
        for (path, said) in [
            ("/a/:x", "write `{x}`"),
            ("/a/<x>", "write `{x}`"),
            ("/a/<int:x>", "write `{x}`"),
            ("/a/*", "write `{*rest}`"),
            ("/a/*x", "write `{*x}`"),
            ("/a/{x:int}", "write `{x}`"),
            ("/a/{x:path}", "write `{*x}`"),
            ("/a/{x...}", "write `{*x}`"),
            ("/a/{**x}", "write `{*x}`"),
            ("/a{b}", "whole segment"),
            ("/{a", "whole segment"),
            ("/{a}{b}", "whole segment"),
            ("/{}", "like `{id}`"),
            ("/{*}", "like `{id}`"),
            ("/{x?}", "like `{id}`"),
            ("/{x}/{x}", "its own name"),
            ("/{x}/{*x}", "its own name"),
            ("/{*x}/a", "last segment"),
            ("/{*x}/", "last segment"),
        ] {
            assert!(fault(path).contains(said), "{path}: {}", fault(path));
        }
    }

    /// All paths of up to three segments out of a few.
    fn all_paths() -> Vec<String> {
        let segments = ["", "a", "b", "{x}", "{*y}"];
        let mut paths: Vec<String> = vec![String::new()];
        let mut last = paths.clone();
        for _ in 0..3 {
            last = last
                .iter()
                .flat_map(|path| segments.map(|segment| format!("{path}/{segment}")))
                .collect();
            paths.extend(last.clone());
        }
        paths.retain(|path| Path::parse(path).is_ok());
        paths
    }

    /// The router that serves requests finds the same two paths in conflict as this module does.
    #[test]
    fn two_paths_clash_where_the_router_refuses_them() {
        let paths = all_paths();
        assert!(paths.len() > 40, "{paths:?}");
        // The core numbers the parameters of a path, as this does.
        let numbered = |path: &str| path.replace("{x}", "{0}").replace("{*y}", "{*0}");
        for one in &paths {
            for other in &paths {
                let mut router = matchit::Router::new();
                router.insert(numbered(one), ()).expect("a path that is parsed can be routed");
                let refused = router.insert(numbered(other), ()).is_err();
                let (first, second) = (Path::parse(one), Path::parse(other));
                let clash = first.unwrap().clash(&second.unwrap());
                assert_eq!(clash.is_some(), refused, "{one} and {other}: {clash:?}");
            }
        }
    }
}
