//! Paths and the route prefix of an application.

use std::sync::Arc;

/// Joins a prefix and a path below it.
pub(crate) fn joined(prefix: &str, path: &str) -> Arc<str> {
    format!("{}{path}", prefix.trim_end_matches('/')).into()
}

/// Returns the part of `path` after `prefix`, which must match the path. The part always starts
/// with a slash.
pub(crate) fn below<'a>(prefix: &str, path: &'a str) -> &'a str {
    match path.get(prefix.trim_end_matches('/').len()..) {
        None | Some("") => "/",
        Some(rest) => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_named_with_its_prefix() {
        assert_eq!(&*joined("/", "/add"), "/add");
        assert_eq!(&*joined("/math", "/add"), "/math/add");
    }

    #[test]
    fn the_prefix_moves_off_the_path() {
        assert_eq!(below("/", "/add"), "/add");
        assert_eq!(below("/math", "/math/add"), "/add");
        assert_eq!(below("/math", "/math"), "/");
        assert_eq!(below("/math", "/math/"), "/");
    }
}
