//! The arithmetic around the model: which texts to read together, what to make of what it says, and
//! how close two directions are.

/// The numbers in a direction.
pub const DIMENSIONS: usize = 384;

/// A text's direction: [`DIMENSIONS`] numbers whose squares add up to 1.
pub type Embedding = Vec<f32>;

/// Splits texts of these lengths into groups that are read together, each text padded to the
/// longest of its group. A group's longest is at most half as long again as its shortest and eight
/// tokens, so that a question which shares a batch with passages is not read as if it were one.
/// Gives the texts by their places.
#[must_use]
pub fn groups(lengths: &[usize]) -> Vec<Vec<usize>> {
    let mut places: Vec<usize> = (0..lengths.len()).collect();
    places.sort_by_key(|place| lengths[*place]);
    let fits = |one: &usize, next: &usize| {
        let shortest = lengths[*one];
        lengths[*next] <= shortest + shortest / 2 + 8
    };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for place in places {
        match groups.last_mut() {
            Some(group) if fits(&group[0], &place) => group.push(place),
            _ => groups.push(vec![place]),
        }
    }
    groups
}

/// The mean of the tokens' directions, made of length 1. `tokens` has [`DIMENSIONS`] numbers a
/// token, without those of the padding.
#[must_use]
pub fn pooled(tokens: &[f32]) -> Embedding {
    let mut sum = vec![0.0; DIMENSIONS];
    for token in tokens.chunks_exact(DIMENSIONS) {
        sum.iter_mut().zip(token).for_each(|(sum, number)| *sum += number);
    }
    // The mean has the direction of the sum.
    let length = dot(&sum, &sum).sqrt();
    if length > 0.0 {
        sum.iter_mut().for_each(|number| *number /= length);
    }
    sum
}

/// How close two directions are: 1 if they are the same, 0 if they have nothing in common.
#[must_use]
pub fn dot(one: &[f32], other: &[f32]) -> f32 {
    // Sixteen sums at a time. The order of a sum of floats is not the compiler's to change, and in
    // one sum each addition waits for the one before it.
    const LANES: usize = 16;
    let (one, one_rest) = one.as_chunks::<LANES>();
    let (other, other_rest) = other.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in one.iter().zip(other) {
        for lane in 0..LANES {
            sums[lane] = a[lane].mul_add(b[lane], sums[lane]);
        }
    }
    let rest: f32 = one_rest.iter().zip(other_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_like_length_are_read_together() {
        assert_eq!(groups(&[]), Vec::<Vec<usize>>::new());
        assert_eq!(groups(&[100, 10, 101, 12]), [vec![1, 3], vec![0, 2]]);
        let lengths: Vec<usize> = (2..=256).collect();
        let groups = groups(&lengths);
        let mut places: Vec<usize> = groups.concat();
        places.sort_unstable();
        assert_eq!(places, (0..lengths.len()).collect::<Vec<_>>());
        let padded: usize =
            groups.iter().map(|group| group.len() * lengths[group[group.len() - 1]]).sum();
        assert!(padded * 4 < lengths.iter().sum::<usize>() * 5, "a fifth is padding at most");
    }

    #[test]
    fn the_mean_has_length_one() {
        let mut tokens = vec![0.0; 2 * DIMENSIONS];
        (tokens[0], tokens[DIMENSIONS + 1]) = (3.0, 4.0);
        let pooled = pooled(&tokens);
        assert_eq!((pooled[0], pooled[1]), (0.6, 0.8));
        assert_eq!(super::pooled(&[]), [0.0; DIMENSIONS]);
    }

    #[test]
    fn the_dot_product_is_that_of_a_plain_sum() {
        for length in [0, 1, 15, 16, 17, DIMENSIONS] {
            let one: Vec<f32> = (0..length).map(|n| (n as f32).sin()).collect();
            let other: Vec<f32> = (0..length).map(|n| (n as f32).cos()).collect();
            let plain: f32 = one.iter().zip(&other).map(|(a, b)| a * b).sum();
            assert!((dot(&one, &other) - plain).abs() < 1e-4, "{length}");
        }
    }
}
