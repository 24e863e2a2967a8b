//! Suggestions of similar names, and lists of names, for messages.

/// Returns the known name that is nearest to `given`, if it is near enough.
pub(crate) fn nearest<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let known: Vec<&str> = known.into_iter().collect();
    // A longer form of a known name, such as Ray Serve's `autoscaling_config`.
    let longer = |name: &&str| given.strip_prefix(*name).is_some_and(|rest| rest.starts_with('_'));
    if let Some(name) = known.iter().copied().find(longer) {
        return Some(name);
    }
    let near = known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .min_by_key(|(distance, _)| *distance);
    // At most a third of the letters may differ; otherwise it is another word.
    near.filter(|(distance, name)| *distance * 3 <= name.len().max(given.len()))
        .map(|(_, name)| name)
}

/// Returns `` (did you mean `x`?)``, or an empty text.
pub(crate) fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(given, known) {
        Some(name) => format!(" (did you mean `{name}`?)"),
        None => String::new(),
    }
}

/// Lists names, as in `` `a`, `b` and `c` ``.
pub(crate) fn all_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match (names.pop(), names.is_empty()) {
        (None, _) => String::new(),
        (Some(only), true) => only,
        (Some(last), false) => format!("{} and {last}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["num_replicas", "num_cpus", "name"];
        assert_eq!(nearest("num_replica", known), Some("num_replicas"));
        assert_eq!(nearest("num_cpu", known), Some("num_cpus"));
        assert_eq!(nearest("replicas", known), Some("num_replicas"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("autoscaling_config", ["num_cpus", "autoscaling"]), Some("autoscaling"));
        assert_eq!(did_you_mean("nmae", known), " (did you mean `name`?)");
    }

    #[test]
    fn names_in_a_row() {
        assert_eq!(all_of([]), "");
        assert_eq!(all_of(["a"]), "`a`");
        assert_eq!(all_of(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
