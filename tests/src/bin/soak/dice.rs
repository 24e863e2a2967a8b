//! [`Dice`]: seeded random choices.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng};

/// A seeded source of random choices. Each task has its own, so that its choices do not depend on
/// the order in which tasks run.
#[derive(Debug)]
pub struct Dice(SmallRng);

impl Dice {
    /// The dice of a task: its number under the seed of the run.
    pub fn new(seed: u64, task: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ task))
    }

    /// A number from 0, below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0.random_range(0..end)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.0.random_range(0..all.len())]
    }

    /// A time of up to so many milliseconds.
    pub fn up_to_ms(&mut self, most: u64) -> Duration {
        Duration::from_micros(self.below(1_000 * most + 1))
    }

    /// The index of one of these weights.
    pub fn weighted(&mut self, weights: impl Iterator<Item = u64> + Clone) -> usize {
        let mut left = self.below(weights.clone().sum());
        for (index, weight) in weights.enumerate() {
            if left < weight {
                return index;
            }
            left -= weight;
        }
        unreachable!("the number is below the sum of the weights")
    }
}
