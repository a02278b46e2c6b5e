//! The simple baseline: what mean, spread and pace of the mel bands alone say of the genre. A network that does not beat
//! it has learnt nothing from the course of the music.
//!
//! 3 x mels numbers per clip, standardised by the training part, into a multinomial logistic regression. No seed, no
//! adapter: the same data gives the same bits.

mod descriptors;
mod lbfgs;
mod logistic;

pub use lbfgs::NotConverged;
pub use logistic::Logistic;

use super::predictions::Prediction;
use crate::dataset::{Clip, Dataset, Split};
use descriptors::{Scaling, describe};

/// Weight of the loss against the penalty, as scikit-learn's `C`; its default.
const C: f64 = 1.0;

/// Why there is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// No clips to fit to.
    #[error("the training part has no clips to fit the baseline to")]
    NothingToFit,
    /// The optimiser gave up.
    #[error("the baseline: {0}")]
    NotConverged(#[from] NotConverged),
}

/// A fitted baseline.
#[derive(Debug, Clone)]
pub struct Baseline {
    /// Classes of the data.
    classes: usize,
    /// Those that the training part has: the others are never named.
    known: Vec<usize>,
    frames: usize,
    scaling: Scaling,
    model: Logistic,
}

impl Baseline {
    /// What tables call it.
    pub const NAME: &'static str = "baseline";

    /// Fits the training part.
    pub fn fit(data: &Dataset) -> Result<Self, BaselineError> {
        let part = data.part(Split::Train);
        let counts = data.class_counts(Split::Train);
        let known: Vec<usize> = (0..counts.len()).filter(|&class| counts[class] > 0).collect();
        if known.is_empty() {
            return Err(BaselineError::NothingToFit);
        }
        let mut rows: Vec<Vec<f64>> = part.iter().map(|&i| describe(&data.samples[i].clip, data.frames)).collect();
        let scaling = Scaling::of(&rows);
        rows.iter_mut().for_each(|row| scaling.apply(row));
        let labels: Vec<usize> = part.iter().map(|&i| known.partition_point(|&class| class < data.samples[i].label)).collect();
        // Of two classes scikit-learn fits one vector; two opposite ones of half its length have half its penalty.
        let c = if known.len() == 2 { 0.5 * C } else { C };
        let model = Logistic::fit(&rows, &labels, known.len(), c)?;
        Ok(Self { classes: data.classes.len(), known, frames: data.frames, scaling, model })
    }

    /// Weights and intercepts.
    pub fn parameters(&self) -> usize {
        self.model.parameters()
    }

    /// The probability of each class of the data; 0 for a class without training clips.
    pub fn probabilities(&self, clip: &Clip) -> Vec<f32> {
        let mut row = describe(clip, self.frames);
        self.scaling.apply(&mut row);
        let mut probabilities = vec![0.0; self.classes];
        for (&class, probability) in self.known.iter().zip(self.model.probabilities(&row)) {
            probabilities[class] = probability as f32;
        }
        probabilities
    }

    /// What it says of each clip of a part, in the form of a network's predictions.
    pub fn predict_part(&self, data: &Dataset, split: Split) -> Vec<Prediction> {
        let prediction = |i: usize| {
            let sample = &data.samples[i];
            let (path, group, label) = (sample.name(), sample.group.clone(), sample.label as u32);
            Prediction { path, group, label, probabilities: self.probabilities(&sample.clip) }
        };
        data.part(split).into_iter().map(prediction).collect()
    }
}
