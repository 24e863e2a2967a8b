//! Cutting a text into passages: long enough to mean something, short enough that the model reads
//! them whole, and overlapping, so that what is said across a cut is found too.

use std::ops::Range;

/// What a passage may cost. A word costs a third of its letters, which is about the tokens that it
/// is for the model, or more: English gets some 60 words a passage, and the 256 tokens that the
/// model reads are not reached in other scripts either, where a letter may be a token.
pub const MAX_COST: usize = 120;
/// What of a passage may be said again in the next.
pub const OVERLAP: usize = 24;
/// Letters of a word that is not cut. Text without blanks is cut after so many.
const LONGEST_WORD: usize = 24;

/// A piece of the text that is not cut.
#[derive(Debug, PartialEq)]
struct Word {
    bytes: Range<usize>,
    cost: usize,
    /// Whether a sentence ends with it.
    last: bool,
}

/// A text's passages, in order. All white space in them is one blank, or one end of a line if there
/// was one in it; so no passage has more than a few hundred characters. A text without any word has
/// none.
#[must_use]
pub fn passages(text: &str) -> Vec<String> {
    let words = words(text);
    cut(&words).into_iter().map(|words_of_it| tidied(text, &words[words_of_it])).collect()
}

/// Which words each passage has.
fn cut(words: &[Word]) -> Vec<Range<usize>> {
    let mut passages = Vec::new();
    let mut start = 0;
    while start < words.len() {
        let end = start + fitting(words[start..].iter(), MAX_COST);
        if end == words.len() {
            passages.push(start..end);
            break;
        }
        // At the end of a sentence, if one ends in the second half.
        let half = start + fitting(words[start..end].iter(), MAX_COST / 2);
        let sentence = (half..end).rev().find(|word| words[*word].last);
        let end = sentence.map_or(end, |word| word + 1);
        passages.push(start..end);
        let again = fitting(words[start + 1..end].iter().rev(), OVERLAP);
        start = end - again;
    }
    passages
}

/// How many of `words`, from the first, cost at most `budget`; one at least.
fn fitting<'a>(words: impl ExactSizeIterator<Item = &'a Word>, budget: usize) -> usize {
    let (mut count, mut cost) = (0, 0);
    for word in words {
        cost += word.cost;
        if cost > budget && count > 0 {
            break;
        }
        count += 1;
    }
    count
}

fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        // Both are of the same text.
        let mut start = word.as_ptr().addr() - text.as_ptr().addr();
        let letters: Vec<char> = word.chars().collect();
        for piece in letters.chunks(LONGEST_WORD) {
            let end = start + piece.iter().map(|letter| letter.len_utf8()).sum::<usize>();
            words.push(Word { bytes: start..end, cost: cost(piece), last: ends_sentence(piece) });
            start = end;
        }
    }
    words
}

/// Latin letters are three to a token or more; others, signs of punctuation among them, may be
/// tokens of their own, and hangul is written with up to three letters in one.
fn cost(letters: &[char]) -> usize {
    let latin = |letter: &&char| letter.is_alphanumeric() && **letter < '\u{250}';
    let hangul = |letter: &&char| matches!(letter, '\u{AC00}'..='\u{D7A3}');
    let (latin, hangul) =
        (letters.iter().filter(latin).count(), letters.iter().filter(hangul).count());
    latin.div_ceil(3) + letters.len() - latin + 2 * hangul
}

fn ends_sentence(letters: &[char]) -> bool {
    let closing =
        |letter: &&char| matches!(letter, '"' | '\'' | '”' | '’' | '»' | ')' | ']' | '」');
    let last = letters.iter().rev().find(|letter| !closing(letter));
    last.is_some_and(|last| matches!(last, '.' | '!' | '?' | '…' | '。' | '！' | '？'))
}

fn tidied(text: &str, words: &[Word]) -> String {
    let mut tidied = String::new();
    let mut before: Option<usize> = None;
    for word in words {
        let gap = before.map_or("", |end| &text[end..word.bytes.start]);
        if gap.contains('\n') {
            tidied.push('\n');
        } else if !gap.is_empty() {
            tidied.push(' ');
        }
        tidied.push_str(&text[word.bytes.clone()]);
        before = Some(word.bytes.end);
    }
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_one_passage_with_its_lines() {
        assert_eq!(passages("  To be,  or not\r\n\r\n to be \t"), ["To be, or not\nto be"]);
        assert_eq!(passages(" \n"), Vec::<String>::new());
    }

    #[test]
    fn passages_overlap_and_leave_nothing_out() {
        let words: Vec<String> = (0..1_000).map(|n| format!("w{n}")).collect();
        let passages = passages(&words.join(" "));
        let mut next = 0;
        for passage in &passages {
            let numbers = passage.split(' ').map(|word| word[1..].parse::<usize>().expect("one"));
            let numbers: Vec<usize> = numbers.collect();
            let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
            assert!(numbers.windows(2).all(|two| two[0] + 1 == two[1]), "{passage}");
            let again = next - first;
            assert!(next == 0 || (5..=OVERLAP).contains(&again), "{again} words again");
            next = last + 1;
        }
        assert_eq!(next, 1_000);
    }

    #[test]
    fn a_passage_ends_with_a_sentence_where_it_can() {
        let text = "It was the best of times (or so they said.) ".repeat(50);
        let passages = passages(&text);
        assert!(passages.len() > 5);
        assert!(passages.iter().all(|passage| passage.ends_with("said.)")), "{passages:?}");
    }

    #[test]
    fn text_without_blanks_is_cut_too_and_every_passage_is_short() {
        for text in ["中".repeat(5_000), "x".repeat(5_000), "é ☃ ".repeat(5_000), "~".repeat(5_000)]
        {
            let passages = passages(&text);
            assert!(passages.len() > 10);
            let longest = passages.iter().map(|passage| passage.chars().count()).max();
            assert!(longest <= Some(4 * MAX_COST), "{longest:?}");
            let letters: usize = passages.iter().map(|passage| passage.chars().count()).sum();
            assert!(letters >= text.trim().chars().count(), "nothing is left out");
        }
    }
}
