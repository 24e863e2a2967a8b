//! [`Stops`]: the texts at which an answer ends.

/// Lets text pass until one of the stop texts occurs in it. What may be the beginning of one is
/// held back, so that no part of a stop text is ever given out.
#[derive(Debug, Default)]
pub struct Stops {
    stops: Vec<String>,
    held: String,
}

impl Stops {
    /// Watches for `stops`; empty ones are never found.
    #[must_use]
    pub fn new(mut stops: Vec<String>) -> Self {
        stops.retain(|stop| !stop.is_empty());
        Self { stops, held: String::new() }
    }

    /// The text that may pass, and whether a stop text came right after it.
    pub fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        let found = self.stops.iter().filter_map(|stop| self.held.find(stop)).min();
        if let Some(at) = found {
            let mut held = std::mem::take(&mut self.held);
            held.truncate(at);
            return (held, true);
        }
        let keep = self.stops.iter().map(|stop| begun(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What is held back, once no more text comes.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// How many bytes at the end of `text` are the beginning of `stop`.
fn begun(text: &str, stop: &str) -> usize {
    let lengths = stop.char_indices().map(|(at, _)| at).rev();
    lengths.into_iter().find(|&length| text.ends_with(&stop[..length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(stops: &[&str], pieces: &[&str]) -> (Vec<String>, bool) {
        let mut watch = Stops::new(stops.iter().map(ToString::to_string).collect());
        let mut passed = Vec::new();
        for piece in pieces {
            let (text, stopped) = watch.push(piece);
            passed.push(text);
            if stopped {
                return (passed, true);
            }
        }
        passed.push(watch.finish());
        (passed, false)
    }

    #[test]
    fn without_stops_text_passes_as_it_is() {
        assert_eq!(pass(&[], &["a", "b"]).0, ["a", "b", ""]);
        assert_eq!(pass(&[""], &["a"]).0, ["a", ""]);
    }

    #[test]
    fn a_stop_is_found_across_pieces_and_no_part_of_it_passes() {
        assert_eq!(
            pass(&["\n\nUser:"], &["Hi", "!\n", "\nUs", "er: more"]),
            (vec!["Hi".into(), "!".into(), String::new(), String::new()], true)
        );
    }

    #[test]
    fn what_only_looked_like_a_stop_comes_after_all() {
        assert_eq!(pass(&["END"], &["the E", "N", "D"]).0, ["the ", "", ""]);
        assert_eq!(pass(&["END"], &["the E", "Nough"]).0, ["the ", "ENough", ""]);
        assert_eq!(pass(&["END"], &["the EN"]).0, ["the ", "EN"]);
    }

    #[test]
    fn the_first_in_the_text_counts_not_the_first_in_the_list() {
        assert_eq!(pass(&["three", "two"], &["one two three"]).0, ["one "]);
    }

    #[test]
    fn stops_may_overlap_themselves_and_have_any_characters() {
        assert_eq!(pass(&["aab"], &["aa", "ab"]), (vec![String::new(), "a".into()], true));
        assert_eq!(pass(&["é🎉"], &["é", "é", "🎉"]).0, ["", "é", ""]);
    }
}
