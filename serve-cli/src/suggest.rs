//! Suggestions of known names for an unknown name.

/// The likeness above which a name is worth suggesting. It is the threshold of clap, which
/// suggests options in the same way.
const ALIKE: f64 = 0.7;

/// Returns the known names that resemble `name`, the most similar first.
///
/// Case and the choice between `-` and `_` are not counted as differences.
pub(crate) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let name = folded(name);
    let mut alike: Vec<(f64, &str)> = known
        .into_iter()
        .map(|candidate| (likeness(&name, &folded(candidate)), candidate))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .collect();
    alike.sort_by(|(a, left), (b, right)| b.total_cmp(a).then_with(|| left.cmp(right)));
    alike.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Returns `did you mean ...?`, or `None` if no known name is near.
pub(crate) fn did_you_mean<'n>(
    name: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Option<String> {
    match nearest(name, known).as_slice() {
        [] => None,
        [one] => Some(format!("did you mean `{one}`?")),
        [one, other, ..] => Some(format!("did you mean `{one}` or `{other}`?")),
    }
}

/// Returns true if both are names of the same package: crates have `_` where packages have `-`.
pub(crate) fn same_package(one: &str, other: &str) -> bool {
    one.replace('-', "_") == other.replace('-', "_")
}

/// Lists names for the middle of a sentence: `one`, `two`, `three`.
#[cfg(feature = "cargo")]
pub(crate) fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

fn folded(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

fn likeness(name: &str, candidate: &str) -> f64 {
    // A word of a longer name is as good a match as a misspelt name.
    if name.len() >= 4 && candidate.split('_').any(|word| word == name) {
        return 0.9;
    }
    strsim::jaro_winkler(name, candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_comes_first() {
        let known = ["language_classifier", "language_clasifiers", "chain"];
        assert_eq!(
            nearest("language_clasifier", known),
            ["language_clasifiers", "language_classifier"]
        );
    }

    #[test]
    fn case_and_dashes_do_not_count() {
        assert_eq!(nearest("Hello-World", ["hello_world"]), ["hello_world"]);
    }

    #[test]
    fn a_word_of_a_name_finds_it() {
        assert_eq!(nearest("classifier", ["language_classifier"]), ["language_classifier"]);
    }

    #[test]
    fn unlike_names_are_not_suggested() {
        assert_eq!(did_you_mean("translator", ["chain", "hello"]), None);
    }
}
