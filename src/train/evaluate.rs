//! What a network says of clips: the mean over their windows.

use super::feed::Feed;
use crate::dataset::Batches;
use crate::gpu::{GpuError, Pass};
use crate::layers::Mode;
use crate::models::Network;

/// What a network says of one clip.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipOutput {
    /// Mean over the windows of the probabilities of each class.
    pub probabilities: Vec<f32>,
    /// Mean over the windows of the logits.
    pub logits: Vec<f32>,
    /// Windows that it was cut into.
    pub windows: usize,
}

impl ClipOutput {
    /// Negative log probability of class `label`, from the logits and so without underflow; of a clip of one window.
    pub fn log_loss(&self, label: usize) -> f64 {
        let largest = self.logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        let total: f64 = self.logits.iter().map(|&l| f64::from(l - largest).exp()).sum();
        total.ln() + f64::from(largest) - f64::from(self.logits[label])
    }
}

/// Runs the windows of `batches`, whose indices are below `clips`, in evaluation mode.
///
/// The batches must not be larger than the network's.
pub fn evaluate(network: &Network, batches: &Batches, clips: usize) -> Result<Vec<ClipOutput>, GpuError> {
    evaluate_from(&Feed::new(network, None), network, batches, clips)
}

/// As [`evaluate`], with the batches from `feed`.
pub(super) fn evaluate_from(
    feed: &Feed,
    network: &Network,
    batches: &Batches,
    clips: usize,
) -> Result<Vec<ClipOutput>, GpuError> {
    let gpu = network.gpu();
    let classes = network.dimensions().classes;
    let most = network.dimensions().batch * classes;
    let mut rings = feed.take_outputs(most);
    let [probabilities, logits] = &mut rings;
    let mut outputs = vec![Sums::new(classes); clips];
    let mut serving = feed.begin(batches, &[])?;
    for i in 0..batches.len() {
        let mut pass = Pass::new(gpu);
        let size = serving.next(&mut pass)?;
        network.forward(&mut pass, size, Mode::Evaluate);
        probabilities.fetch(gpu, &mut pass, &network.loss().probabilities, i as u64)?;
        logits.fetch(gpu, &mut pass, network.logits(), i as u64)?;
        pass.submit()?;
        probabilities.submitted();
        logits.submitted();
        serving.submitted();
        gpu.end_step()?;
    }
    // Arrival order is submission order, so the sums over windows have one order too; sorted all the same.
    let (probabilities, logits) = (probabilities.finish(gpu)?, logits.finish(gpu)?);
    feed.give_back(rings);
    for ((i, probabilities), (_, logits)) in probabilities.iter().zip(&logits) {
        let rows = probabilities.chunks_exact(classes).zip(logits.chunks_exact(classes));
        for (clip, (probabilities, logits)) in batches.indices(*i as usize).zip(rows) {
            outputs[clip].add(probabilities, logits);
        }
    }
    Ok(outputs.into_iter().map(Sums::mean).collect())
}

#[derive(Clone)]
struct Sums {
    probabilities: Vec<f64>,
    logits: Vec<f64>,
    windows: usize,
}

impl Sums {
    fn new(classes: usize) -> Self {
        Self { probabilities: vec![0.0; classes], logits: vec![0.0; classes], windows: 0 }
    }

    fn add(&mut self, probabilities: &[f32], logits: &[f32]) {
        for (sum, value) in self.probabilities.iter_mut().zip(probabilities) {
            *sum += f64::from(*value);
        }
        for (sum, value) in self.logits.iter_mut().zip(logits) {
            *sum += f64::from(*value);
        }
        self.windows += 1;
    }

    fn mean(self) -> ClipOutput {
        let mean = |sums: &[f64]| sums.iter().map(|sum| (sum / self.windows.max(1) as f64) as f32).collect();
        ClipOutput { probabilities: mean(&self.probabilities), logits: mean(&self.logits), windows: self.windows }
    }
}
