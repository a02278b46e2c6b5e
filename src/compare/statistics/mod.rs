//! The statistics of a comparison of classifiers: pure functions of true and predicted classes.
//!
//! What is uncertain, and what stands for it:
//!
//! | question | answer |
//! |---|---|
//! | how good is one model on other music? | [`interval()`]: whole groups and, within each draw, seeds are resampled |
//! | is one ahead of another? | [`compare_pair`]: paired group bootstrap, McNemar or Nadeau-Bengio, and why that one |
//! | of many pairs, which? | [`compare_all`]: the same, with Holm's correction over all pairs |
//! | did trainings done again come to the same? | [`spread()`]: a prediction interval from the spread of the seeds |
//! | are its probabilities to be believed? | [`calibration()`] |
//! | what does it come to? | [`sentences`], [`leader`], [`too_few_groups`] |
//!
//! Clips of one group (an artist, a track) stand or fall together, so groups are the unit of everything; the tests that
//! take clips for independent are used only where every group has a single clip. Draws come from ChaCha8 and their seed,
//! on every system alike; results do not depend on the order of clips, runs or models.
//! Precision, recall and F1 of each class are in [`ConfusionMatrix`].

mod bootstrap;
mod holm;
mod interval;
mod mcnemar;
mod pairs;
mod resampled_t;
mod spread;
mod tally;
mod words;

pub use bootstrap::{Difference, REPLICATES, bootstrap_difference, bootstrap_interval, bootstrap_p, widening};
pub use holm::holm;
pub use interval::{interval, wilson};
pub use mcnemar::{FEWEST_DISCORDANT, McNemar, mcnemar};
pub use pairs::{Comparison, FEWEST_SPLITS, Test, compare_all, compare_pair};
pub use resampled_t::{ResampledT, resampled_t};
pub use spread::{Block, FEWEST_FREEDOM, Spread, spread};
pub use tally::{Draw, Tally};
pub use words::{ahead, leader, sentences, too_few_groups};

pub use crate::train::calibration::{BINS, Calibration, ReliabilityBin, calibration};
use crate::train::metrics::ConfusionMatrix;
use serde::{Deserialize, Serialize};

/// What of a confusion matrix is compared; in 0..1, more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of the clips named rightly.
    Accuracy,
    /// Mean recall of the classes.
    BalancedAccuracy,
    /// Mean F1 of the classes.
    MacroF1,
}

impl Metric {
    /// Its value; none if it has no denominator.
    pub fn of(self, matrix: &ConfusionMatrix) -> Option<f64> {
        match self {
            Self::Accuracy => matrix.accuracy(),
            Self::BalancedAccuracy => matrix.balanced_accuracy(),
            Self::MacroF1 => matrix.macro_f1(),
        }
    }

    /// Its name in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced accuracy",
            Self::MacroF1 => "macro F1",
        }
    }
}

/// The clips that models are compared on: each that some run was tested on, once.
#[derive(Debug, Clone, PartialEq)]
pub struct Clips {
    /// How many classes there are.
    pub classes: usize,
    /// The true class of each clip.
    pub labels: Vec<u32>,
    /// The group of each clip: the artist where that is known, else the track.
    pub groups: Vec<String>,
    /// What a group is, in the singular: `artist`, `track`.
    pub group_noun: String,
    /// What a run was tested on.
    pub test_parts: TestParts,
}

/// What the runs of a comparison were tested on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TestParts {
    /// Every run on every clip of one hold-out.
    Same,
    /// Every run on every clip: its folds' test parts together, so that a run is as many trainings, which share clips.
    Folds,
    /// Each split's runs on a random test part of that split's own; some clips are in several, some in none.
    RandomSplits {
        /// Clips in a test part, over clips in a training part.
        test_to_train: f64,
    },
}

/// One of the models that are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Its runs, in any order.
    pub runs: Vec<Run>,
    /// Whether another seed would give another run: of a network, not of a fit that draws nothing at random.
    pub seeded: bool,
}

/// What one training said of the clips; the folds of a cross-validation are one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Number of the random split; 0 where there is one.
    pub split: usize,
    /// Number of the seed: runs of two models with the same split and seed are paired.
    pub seed: u64,
    /// The class that each clip was given; none where the clip was not in the run's test part.
    pub predictions: Vec<Option<u32>>,
}

impl Run {
    /// What pairs it with a run of another model.
    fn key(&self) -> (usize, u64) {
        (self.split, self.seed)
    }

    /// How many clips of each class were given each class.
    pub fn confusion_matrix(&self, clips: &Clips) -> ConfusionMatrix {
        assert_eq!(self.predictions.len(), clips.labels.len(), "one prediction or none per clip");
        let tested = clips.labels.iter().zip(&self.predictions).filter_map(|(&label, named)| named.map(|named| (label, named)));
        let (labels, named): (Vec<u32>, Vec<u32>) = tested.unzip();
        ConfusionMatrix::new(clips.classes, &labels, &named)
    }
}
