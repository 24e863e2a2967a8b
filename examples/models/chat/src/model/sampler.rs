//! [`Sampler`]: which token comes next, of the scores that the model gives to all of them.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// How tokens are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// 0 always takes the likeliest token; 1 takes them as the model weighs them, 2 more evenly.
    pub temperature: f32,
    /// Only the likeliest tokens are taken that have this share of the probability together.
    pub top_p: f32,
    /// Taken off a token's score for each time it was chosen.
    pub frequency_penalty: f32,
    /// Taken off a token's score once it was chosen.
    pub presence_penalty: f32,
}

/// Chooses one token after another. The same seed, choice and scores give the same tokens.
#[derive(Debug)]
pub struct Sampler {
    choice: Choice,
    random: StdRng,
    chosen: HashMap<u32, u16>,
}

impl Sampler {
    /// Has not chosen anything yet.
    #[must_use]
    pub fn new(choice: Choice, seed: u64) -> Self {
        Self { choice, random: StdRng::seed_from_u64(seed), chosen: HashMap::new() }
    }

    /// Chooses by `scores`, one for each token of the vocabulary, which it changes.
    pub fn choose(&mut self, scores: &mut [f32]) -> u32 {
        let Choice { temperature, top_p, .. } = self.choice;
        self.penalize(scores);
        let token = if temperature == 0.0 {
            likeliest(scores)
        } else {
            into_probabilities(scores, temperature);
            draw(&nucleus(scores, top_p), self.random.random::<f32>())
        };
        let times = self.chosen.entry(token).or_default();
        *times = times.saturating_add(1);
        token
    }

    fn penalize(&self, scores: &mut [f32]) {
        let Choice { frequency_penalty, presence_penalty, .. } = self.choice;
        for (&token, &times) in &self.chosen {
            scores[token as usize] -= frequency_penalty * f32::from(times) + presence_penalty;
        }
    }
}

/// Tokens by their place in `values`.
fn tokens(values: &[f32]) -> impl Iterator<Item = (u32, f32)> {
    (0..).zip(values.iter().copied())
}

/// Of several, the first.
fn likeliest(scores: &[f32]) -> u32 {
    let best = tokens(scores).reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map_or(0, |(token, _)| token)
}

/// Softmax, with the scores divided by `temperature` first.
fn into_probabilities(scores: &mut [f32], temperature: f32) {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in &mut *scores {
        *score = ((*score - highest) / temperature).exp();
        sum += *score;
    }
    for score in scores {
        *score /= sum;
    }
}

/// The likeliest tokens that have the share `top_p` of the probability together, with theirs; at
/// least one.
fn nucleus(probabilities: &[f32], top_p: f32) -> Vec<(u32, f32)> {
    if top_p >= 1.0 {
        return tokens(probabilities).collect();
    }
    // All that are less likely than this have less than `1 - top_p` together: they need not be
    // sorted, which would take longer than everything else here.
    #[expect(clippy::cast_precision_loss, reason = "it only has to be about right, and below")]
    let negligible = (1.0 - top_p) / (probabilities.len() as f32 + 1.0);
    let mut likely: Vec<_> = tokens(probabilities).filter(|&(_, p)| p >= negligible).collect();
    likely.sort_unstable_by(|(a, p), (b, q)| q.total_cmp(p).then(a.cmp(b)));
    let mut share = 0.0;
    let enough = likely.iter().position(|(_, p)| {
        share += p;
        share >= top_p
    });
    likely.truncate(enough.map_or(likely.len(), |last| last + 1));
    likely
}

/// The one of `candidates` at which `at`, from 0 to 1, points, each as wide as it is likely.
fn draw(candidates: &[(u32, f32)], at: f32) -> u32 {
    let whole: f32 = candidates.iter().map(|(_, p)| p).sum();
    let mut left = at * whole;
    for &(token, p) in candidates {
        left -= p;
        if left < 0.0 {
            return token;
        }
    }
    // Rounding may leave something over: then it is the last that can be chosen at all.
    candidates.iter().rev().find(|(_, p)| *p > 0.0).map_or(0, |&(token, _)| token)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Choice =
        Choice { temperature: 1.0, top_p: 1.0, frequency_penalty: 0.0, presence_penalty: 0.0 };

    fn chosen(choice: Choice, seed: u64, scores: &[f32], times: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(choice, seed);
        (0..times).map(|_| sampler.choose(&mut scores.to_vec())).collect()
    }

    #[test]
    fn at_temperature_0_the_likeliest_is_taken() {
        let greedy = Choice { temperature: 0.0, ..PLAIN };
        assert_eq!(chosen(greedy, 1, &[0.1, 3.0, 2.9, 3.0], 3), [1, 1, 1]);
    }

    #[test]
    fn the_same_seed_chooses_the_same() {
        let scores = [1.0, 1.1, 0.9, 1.0];
        assert_eq!(chosen(PLAIN, 7, &scores, 50), chosen(PLAIN, 7, &scores, 50));
        assert_ne!(chosen(PLAIN, 7, &scores, 50), chosen(PLAIN, 8, &scores, 50));
    }

    #[test]
    fn tokens_come_as_often_as_they_are_likely() {
        // e^ln(3) : e^0 is 3 : 1.
        let tokens = chosen(PLAIN, 7, &[3.0f32.ln(), 0.0], 10_000);
        let first = tokens.iter().filter(|token| **token == 0).count();
        assert!((7_300..7_700).contains(&first), "{first} of 10000, where 7500 are expected");
    }

    #[test]
    fn a_nucleus_has_the_likeliest_and_no_more_than_it_needs() {
        let probabilities = [0.05, 0.5, 0.15, 0.3];
        let tokens = |top_p| -> Vec<u32> {
            nucleus(&probabilities, top_p).into_iter().map(|(token, _)| token).collect()
        };
        assert_eq!(tokens(0.0), [1]);
        assert_eq!(tokens(0.5), [1]);
        assert_eq!(tokens(0.6), [1, 3]);
        assert_eq!(tokens(0.9), [1, 3, 2]);
        assert_eq!(tokens(1.0), [0, 1, 2, 3]);
    }

    #[test]
    fn a_draw_is_inside_whatever_rounding_does() {
        let candidates = [(4, 0.25), (2, 0.25), (9, 0.0)];
        assert_eq!(draw(&candidates, 0.0), 4);
        assert_eq!(draw(&candidates, 0.49), 4);
        assert_eq!(draw(&candidates, 0.5), 2);
        assert_eq!(draw(&candidates, 1.0), 2);
    }

    #[test]
    fn penalties_make_room_for_others() {
        let scores = [2.0, 1.5, 0.0];
        let once = Choice { temperature: 0.0, presence_penalty: 1.0, ..PLAIN };
        assert_eq!(chosen(once, 1, &scores, 4), [0, 1, 0, 0]);
        let each = Choice { temperature: 0.0, frequency_penalty: 0.4, ..PLAIN };
        assert_eq!(chosen(each, 1, &scores, 5), [0, 0, 1, 0, 1]);
    }

    #[test]
    fn what_scores_nothing_is_never_taken() {
        let mut sampler = Sampler::new(PLAIN, 3);
        for _ in 0..200 {
            assert_eq!(sampler.choose(&mut [f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY]), 1);
        }
    }
}
