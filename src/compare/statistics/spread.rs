//! Whether trainings that were done again came to what they came to before.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Trainings that differ by nothing but their seeds: one network, one test part, one number of epochs.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Accuracy of each that was published, one for each seed, 0..1.
    pub published: Vec<f64>,
    /// Accuracy of those of them that were done again.
    pub again: Vec<f64>,
    /// Clips of the test part.
    pub clips: usize,
}

/// Degrees of freedom below which a spread says nothing: with one, `t` is 12.7 and the interval is nearly all of 0..1.
pub const FEWEST_FREEDOM: usize = 2;

/// Where the mean of the trainings done again should lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Mean of the published, blocks weighted by the test clips of what was done again.
    pub published: f64,
    /// Mean of those done again.
    pub again: f64,
    /// Lower and upper end of the 95 % prediction interval.
    pub interval: [f64; 2],
    /// Degrees of freedom of the spread: seeds less one, summed over the blocks.
    pub freedom: usize,
}

impl Spread {
    /// Whether it lies there.
    pub fn holds(&self) -> bool {
        self.interval[0] <= self.again && self.again <= self.interval[1]
    }
}

/// The prediction interval of the mean of what was done again; none below [`FEWEST_FREEDOM`] degrees of
/// freedom, as of one seed, or of two on one split.
///
/// Another adapter rounds otherwise, and from there on a training is as far from the published one as one of another seed.
/// So the new accuracies are draws of the same distribution as the published: with the variance of the seeds within blocks
/// `s^2`, `m` new and `n` published runs and weights `w` of the blocks, their difference has the variance
/// `s^2 sum w^2 (1/m + 1/n)`, and `t` its degrees of freedom. (The lowest and the highest published accuracy would be too
/// narrow: of three draws alike, the third lies between the two others one time in three.) Accuracies come in steps of a
/// clip, so that few seeds may agree by chance: the interval reaches at least one clip per run to either side.
pub fn spread(blocks: &[Block]) -> Option<Spread> {
    let blocks: Vec<&Block> = blocks.iter().filter(|block| !block.again.is_empty() && !block.published.is_empty()).collect();
    let freedom: usize = blocks.iter().map(|block| block.published.len() - 1).sum();
    if freedom < FEWEST_FREEDOM {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let scatter = |values: &[f64]| values.iter().map(|value| (value - mean(values)).powi(2)).sum::<f64>();
    let variance = blocks.iter().map(|block| scatter(&block.published)).sum::<f64>() / freedom as f64;

    let runs: usize = blocks.iter().map(|block| block.again.len()).sum();
    let clips: usize = blocks.iter().map(|block| block.again.len() * block.clips).sum();
    let weight = |block: &Block| (block.again.len() * block.clips) as f64 / clips as f64;
    let over = |value: &dyn Fn(&Block) -> f64| blocks.iter().map(|block| value(block)).sum::<f64>();
    let published = over(&|block| weight(block) * mean(&block.published));
    let again = over(&|block| weight(block) * mean(&block.again));
    let counts = |block: &Block| 1.0 / block.again.len() as f64 + 1.0 / block.published.len() as f64;
    let error = (variance * over(&|block| weight(block).powi(2) * counts(block))).sqrt();

    let t = StudentsT::new(0.0, 1.0, freedom as f64).expect("there is a degree of freedom").inverse_cdf(0.975);
    // Sums of thirds and fifths are rounded.
    let half = (t * error).max(runs as f64 / clips as f64) + 1e-12;
    Some(Spread { published, again, interval: [published - half, published + half], freedom })
}
