//! Whether probabilities mean what they say.

use super::metrics::{log_loss, most_likely};
use serde::{Deserialize, Serialize};

/// Bins of the reliability table, as in Guo et al. (2017).
pub const BINS: usize = 15;

/// How far probabilities can be believed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Mean over clips of the distance between confidence and accuracy of the clip's bin.
    pub expected_calibration_error: f64,
    /// Mean over clips of the squared distance of the probabilities from the truth, summed over classes: 0 to 2.
    pub brier_score: f64,
    /// Mean of `-ln p[label]`, in nats, bounded as [`log_loss`] is.
    pub negative_log_likelihood: f64,
    /// The reliability table: bins of equal width over the confidence.
    pub bins: Vec<ReliabilityBin>,
}

/// The clips whose confidence, the largest of their probabilities, is above `low` and at most `high`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Lower end, not in the bin.
    pub low: f64,
    /// Upper end, in the bin.
    pub high: f64,
    /// Clips in it.
    pub clips: usize,
    /// Their mean confidence; none of no clips.
    pub confidence: Option<f64>,
    /// The share of them that were named rightly; none of no clips.
    pub accuracy: Option<f64>,
}

/// The calibration of `probabilities`, `(clips, classes)`, after Guo et al. (2017) and Brier (1950); none of no clips.
pub fn calibration(classes: usize, labels: &[u32], probabilities: &[f32]) -> Option<Calibration> {
    let negative_log_likelihood = log_loss(classes, labels, probabilities)?;
    let edge = |edge: usize| edge as f64 / BINS as f64;
    // Clips, summed confidence, clips named rightly.
    let mut sums = [(0usize, 0.0f64, 0usize); BINS];
    let mut brier = 0.0;
    for (row, &label) in probabilities.chunks_exact(classes).zip(labels) {
        let named = most_likely(row);
        let confidence = f64::from(row[named as usize]);
        let bin = (0..BINS).find(|&bin| confidence <= edge(bin + 1)).unwrap_or(BINS - 1);
        sums[bin].0 += 1;
        sums[bin].1 += confidence;
        sums[bin].2 += usize::from(named == label);
        let truth = |class: usize| f64::from(u8::from(class == label as usize));
        brier += row.iter().enumerate().map(|(class, &p)| (f64::from(p) - truth(class)).powi(2)).sum::<f64>();
    }
    let bins = sums.iter().enumerate().map(|(bin, &(clips, confidence, hits))| {
        let mean = |sum: f64| (clips > 0).then(|| sum / clips as f64);
        ReliabilityBin { low: edge(bin), high: edge(bin + 1), clips, confidence: mean(confidence), accuracy: mean(hits as f64) }
    });
    Some(Calibration {
        expected_calibration_error: sums.iter().map(|&(_, confidence, hits)| (confidence - hits as f64).abs()).sum::<f64>()
            / labels.len() as f64,
        brier_score: brier / labels.len() as f64,
        negative_log_likelihood,
        bins: bins.collect(),
    })
}
