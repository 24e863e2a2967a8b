//! From the output of the recognition model to text: greedy CTC decoding.
//!
//! For each step along the line the model says how likely each character is. A character that
//! lasts several steps is one; the blank stands between, and keeps two of a kind apart.

use rten_tensor::NdTensorView;
use rten_tensor::prelude::*;
use serve_core::prelude::*;

/// What a line says.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Reading {
    /// Empty if there is no character in it.
    pub text: String,
    /// The mean of its characters' probabilities, from 0 to 1; 0 if there are none.
    pub confidence: f32,
}

/// The characters of the model's classes, with no text for the first, the blank.
pub(super) struct Dictionary(Vec<String>);

impl std::fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dictionary of {}", self.0.len())
    }
}

impl Dictionary {
    /// Of the characters that the model names, one a line. The blank comes before them, and the
    /// space, which has no line, after.
    pub(super) fn new(characters: &str) -> Self {
        let characters = characters.lines().map(str::to_owned);
        Self(std::iter::once(String::new()).chain(characters).chain([" ".to_owned()]).collect())
    }

    /// The text of one line, of probabilities `[steps, classes]`.
    pub(super) fn decode(&self, steps: NdTensorView<f32, 2>) -> Result<Reading> {
        let classes = steps.size(1);
        if classes != self.0.len() {
            let named = self.0.len();
            return Err(Error::msg(format!("the model has {classes} classes and names {named}")));
        }
        let (mut text, mut sum, mut count) = (String::new(), 0.0, 0.0);
        let mut last = 0;
        for step in steps.axis_iter(0) {
            let (class, probability) = likeliest(step.iter().copied());
            if class != 0 && class != last {
                text.push_str(&self.0[class]);
                sum += probability;
                count += 1.0;
            }
            last = class;
        }
        let confidence = if count > 0.0 { sum / count } else { 0.0 };
        Ok(Reading { text, confidence })
    }
}

/// The greatest of the values, and which it is; of equal ones the first.
fn likeliest(values: impl Iterator<Item = f32>) -> (usize, f32) {
    values.enumerate().fold(
        (0, f32::MIN),
        |best, (class, value)| {
            if value > best.1 { (class, value) } else { best }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rten_tensor::NdTensor;

    /// Classes: blank, `a`, `b`, space.
    fn decoded(steps: &[(usize, f32)]) -> Reading {
        let mut tensor = NdTensor::zeros([steps.len(), 4]);
        for (step, (class, probability)) in steps.iter().enumerate() {
            tensor[[step, *class]] = *probability;
        }
        Dictionary::new("a\nb\n").decode(tensor.view()).expect("4 classes")
    }

    fn text(classes: &[usize]) -> String {
        decoded(&classes.iter().map(|class| (*class, 0.9)).collect::<Vec<_>>()).text
    }

    #[test]
    fn a_character_that_lasts_is_one_and_a_blank_keeps_two_apart() {
        assert_eq!(text(&[0, 1, 1, 0, 0, 2, 2, 2]), "ab");
        assert_eq!(text(&[1, 0, 1]), "aa");
        assert_eq!(text(&[1, 3, 2, 3, 3]), "a b ");
        assert_eq!(text(&[1, 2, 1]), "aba");
    }

    #[test]
    fn confidence_is_the_mean_over_the_characters() {
        let reading = decoded(&[(0, 0.1), (1, 0.8), (1, 0.2), (0, 0.1), (2, 0.6)]);
        assert_eq!(reading.text, "ab");
        assert!((reading.confidence - 0.7).abs() < 1e-6);
    }

    #[test]
    fn a_line_of_blanks_says_nothing() {
        assert_eq!(decoded(&[(0, 0.9), (0, 0.9)]), Reading::default());
        assert_eq!(decoded(&[]), Reading::default());
    }

    #[test]
    fn a_model_with_other_classes_is_refused() {
        let error = Dictionary::new("a\nb\nc").decode(NdTensor::zeros([1, 4]).view());
        let error = error.expect_err("5 names");
        assert_eq!(error.to_string(), "the model has 4 classes and names 5");
    }
}
