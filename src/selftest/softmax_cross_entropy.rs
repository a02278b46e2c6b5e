//! `softmax_cross_entropy.wgsl` beside [`reference::softmax_cross_entropy`].

use super::bench::{Bench, Layout};
use super::comparison::{Comparison, Comparisons};
use crate::gpu::{Gpu, GpuError};
use crate::layers::{Size, SoftmaxCrossEntropy};
use crate::reference;
use crate::reference::noise::Noise;

/// One loss to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Samples of this batch.
    pub batch: usize,
    /// Samples that the layer is built for.
    pub capacity: usize,
    /// Classes.
    pub classes: usize,
    /// Logits are whole numbers up to this: some are equal, and the first largest counts.
    pub magnitude: f64,
    /// The first sample's first logit in place of its number, which must not be finite.
    pub broken: Option<f32>,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { batch, capacity, classes, magnitude, broken } = self;
        write!(f, "{batch} of {capacity} x {classes}, up to {magnitude}")?;
        broken.map_or(Ok(()), |broken| write!(f, ", a logit is {broken}"))
    }
}

/// Probabilities, the gradient of the logits, and the four numbers that a step reports.
pub fn check(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let Case { batch, capacity, classes, magnitude, broken } = case;
    let bench = Bench::new(gpu);
    let mut noise = Noise::new((batch * classes) as u64);
    let mut logits: Vec<f64> = noise.numbers(batch * classes).into_iter().map(|x| (x * magnitude).round()).collect();
    let labels = noise.labels(batch, classes);
    let expected =
        reference::softmax_cross_entropy::forward(reference::softmax_cross_entropy::Size { batch, classes }, &logits, &labels);
    // A loss that is not finite is counted, and joins neither the sum nor the number right.
    let first = reference::softmax_cross_entropy::forward(
        reference::softmax_cross_entropy::Size { batch: 1, classes },
        &logits[..classes],
        &labels[..1],
    );
    let (mut loss, mut correct) = (expected.loss * batch as f64, expected.correct);
    if let Some(broken) = broken {
        logits[0] = f64::from(broken);
        loss -= first.loss;
        correct -= first.correct;
    }

    let (layout, run) = (Layout::rows(capacity, classes), Size { batch, frames: 1 });
    let mut map = bench.map("logits", layout, &layout.spread(run, &logits), &layout.nothing())?;
    for channels in [&mut map.value, &mut map.grad] {
        channels.tensor = channels.tensor.view(0, &[capacity, classes]);
    }
    let layer = SoftmaxCrossEntropy::new(gpu, &map)?;
    gpu.write(&layer.labels, &labels);
    bench.poison(&layer.probabilities);
    bench.poison(&layer.results);
    bench.run(|pass| layer.forward(pass, batch))?;

    // What a broken sample leaves in its own row is not judged.
    let row = if broken.is_some() { classes } else { 0 };
    let mut result = Comparisons::new("softmax_cross_entropy", &case);
    let (probabilities, dlogits) = (layout.spread(run, &expected.probabilities), layout.spread(run, &expected.dlogits));
    result.add("probabilities", &probabilities[row..], &bench.get(&layer.probabilities)?[row..]);
    result.add("dlogits", &dlogits[row..], &bench.get(&map.grad.tensor)?[row..]);
    let results = bench.get(&layer.results)?;
    result.add("loss", &[loss], &results[..1]);
    result.add_within(0.0, "counts", &[correct as f64, batch as f64, f64::from(u8::from(broken.is_some()))], &results[1..]);
    Ok(result.done())
}
