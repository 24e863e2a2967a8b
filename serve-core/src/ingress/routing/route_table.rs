//! `RouteTable`: the choice of the application for a path. The longest prefix wins, and a prefix
//! ends only where a segment ends: `/route` does not match `/routesuffix`.

use std::collections::HashMap;

/// Values by route prefix. A lookup costs one hash per segment of the path, however many prefixes
/// there are.
#[derive(Debug)]
pub(crate) struct RouteTable<T> {
    by_prefix: HashMap<Box<str>, T>,
    longest: usize,
}

impl<T> RouteTable<T> {
    pub(crate) fn new(routes: impl IntoIterator<Item = (String, T)>) -> Self {
        let by_prefix: HashMap<Box<str>, T> =
            routes.into_iter().map(|(prefix, value)| (prefix.into_boxed_str(), value)).collect();
        let longest = by_prefix.keys().map(|prefix| prefix.len()).max().unwrap_or(0);
        Self { by_prefix, longest }
    }

    /// Returns the value of the longest prefix that matches. As in Ray Serve, a prefix may itself
    /// end with a slash; it then matches only paths that have the slash.
    pub(crate) fn find(&self, path: &str) -> Option<&T> {
        if path.len() <= self.longest
            && let Some(value) = self.by_prefix.get(path)
        {
            return Some(value);
        }
        let reach = path.len().min(self.longest + 1);
        let slashes = path.as_bytes()[..reach].iter().enumerate().rev();
        slashes.filter(|(_, byte)| **byte == b'/').find_map(|(at, _)| {
            let with_slash =
                (at < self.longest).then(|| self.by_prefix.get(&path[..=at])).flatten();
            with_slash.or_else(|| self.by_prefix.get(&path[..at]))
        })
    }

    /// Returns every prefix and its value, sorted by prefix.
    pub(crate) fn sorted(&self) -> Vec<(&str, &T)> {
        let mut all: Vec<_> =
            self.by_prefix.iter().map(|(prefix, value)| (&**prefix, value)).collect();
        all.sort_unstable_by_key(|(prefix, _)| *prefix);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Vectors {
        routes: Vec<String>,
        rows: Vec<(String, Option<String>)>,
    }

    /// `route_match.json` of the conformance vectors.
    #[test]
    fn the_longest_prefix_wins_as_in_ray_serve() {
        let vectors: Vectors =
            serde_json::from_str(include_str!("../../../tests/vectors/route_match.json")).unwrap();
        let table =
            RouteTable::new(vectors.routes.iter().map(|route| (route.clone(), route.clone())));
        for (path, expected) in vectors.rows {
            assert_eq!(table.find(&path), expected.as_ref(), "{path:?}");
        }
    }

    #[test]
    fn nothing_matches_where_there_is_no_root() {
        let table = RouteTable::new([("/math".to_owned(), 1)]);
        assert_eq!(table.find("/math"), Some(&1));
        assert_eq!(table.find("/math/add"), Some(&1));
        assert_eq!(table.find("/mathematics"), None);
        assert_eq!(table.find("/"), None);
        assert_eq!(RouteTable::<()>::new([]).find("/"), None);
    }

    #[test]
    fn paths_may_hold_any_character() {
        let table = RouteTable::new([("/ä".to_owned(), 1), ("/".to_owned(), 2)]);
        assert_eq!(table.find("/ä/x"), Some(&1));
        assert_eq!(table.find("/é"), Some(&2));
    }
}
