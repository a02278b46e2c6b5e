//! `softmax_cross_entropy.wgsl` beside [`reference::softmax_cross_entropy`].

use super::bench::{Bench, Layout};
use super::comparison::{Comparison, Comparisons};
use crate::gpu::{Gpu, GpuError};
use crate::layers::{GradientScale, Size, SoftmaxCrossEntropy};
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
    /// Label smoothing.
    pub smoothing: f32,
    /// Whether classes count differently, the last one not at all; otherwise all weigh 1.
    pub weighted: bool,
    /// The weights of all samples of the update, where it has more than this batch.
    pub divisor: Option<f32>,
    /// What the gradient is multiplied by.
    pub gradient_scale: f64,
    /// The first sample's first logit in place of its number, which must not be finite.
    pub broken: Option<f32>,
}

impl Case {
    /// The plain loss of a whole batch.
    pub fn new(batch: usize, classes: usize, magnitude: f64) -> Self {
        let (smoothing, gradient_scale) = (0.0, 1.0);
        Self {
            batch,
            capacity: batch,
            classes,
            magnitude,
            smoothing,
            weighted: false,
            divisor: None,
            gradient_scale,
            broken: None,
        }
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { batch, capacity, classes, magnitude, smoothing, weighted, divisor, gradient_scale, broken } = self;
        write!(f, "{batch} of {capacity} x {classes}, up to {magnitude}")?;
        if *smoothing > 0.0 {
            write!(f, ", smoothed by {smoothing}")?;
        }
        if *weighted {
            write!(f, ", weighted")?;
        }
        if *gradient_scale != 1.0 {
            write!(f, ", times {gradient_scale}")?;
        }
        divisor.map_or(Ok(()), |divisor| write!(f, ", divided by {divisor}"))?;
        broken.map_or(Ok(()), |broken| write!(f, ", a logit is {broken}"))
    }
}

/// Probabilities, the gradient of the logits, and the five numbers that a step reports.
pub fn check(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let Case { batch, capacity, classes, magnitude, smoothing, weighted, divisor, broken, .. } = case;
    let bench = Bench::new(gpu);
    let mut noise = Noise::new((batch * classes) as u64);
    let mut logits: Vec<f64> = noise.numbers(batch * classes).into_iter().map(|x| (x * magnitude).round()).collect();
    let labels = noise.labels(batch, classes);
    // Sums of these are exact.
    let mut weights: Vec<f64> = (0..classes).map(|class| if weighted { 0.25 + 0.125 * class as f64 } else { 1.0 }).collect();
    let unused = classes - 1;
    if weighted && labels.iter().any(|&label| label as usize != unused) {
        weights[unused] = 0.0;
    }
    let size = reference::softmax_cross_entropy::Size { batch, classes };
    let expected = reference::softmax_cross_entropy::forward_weighted(size, &logits, &labels, &weights, f64::from(smoothing));
    let scale = divisor.map_or(1.0, |divisor| expected.divisor / f64::from(divisor));
    let dlogits: Vec<f64> = expected.dlogits.iter().map(|dlogit| dlogit * scale * case.gradient_scale).collect();
    let (mut loss, mut correct, mut weight) = (expected.losses.iter().sum::<f64>(), expected.correct, expected.divisor);
    // A loss that is not finite is counted, and joins neither the sums nor the number right.
    if let Some(broken) = broken {
        let first = reference::softmax_cross_entropy::Size { batch: 1, classes };
        correct -= reference::softmax_cross_entropy::forward(first, &logits[..classes], &labels[..1]).correct;
        loss -= expected.losses[0];
        weight -= weights[labels[0] as usize];
        logits[0] = f64::from(broken);
    }

    let (layout, run) = (Layout::rows(capacity, classes), Size { batch, frames: 1 });
    let mut map = bench.map("logits", layout, &layout.spread(run, &logits), &layout.nothing())?;
    for channels in [&mut map.value, &mut map.grad] {
        channels.tensor = channels.tensor.view(0, &[capacity, classes]);
    }
    let gradient_scale = GradientScale::new(gpu)?;
    let mut layer = SoftmaxCrossEntropy::new(gpu, &map, &gradient_scale)?;
    layer.label_smoothing = smoothing;
    gpu.write(&layer.labels, &labels);
    if case.gradient_scale != 1.0 {
        bench.put(gradient_scale.tensor(), &[case.gradient_scale]);
    }
    if weighted {
        bench.put(&layer.class_weights, &weights);
    }
    bench.poison(&layer.probabilities);
    bench.poison(&layer.results);
    bench.run(|pass| layer.forward(pass, batch, divisor))?;

    // What a broken sample leaves in its own row is not judged.
    let row = if broken.is_some() { classes } else { 0 };
    let mut result = Comparisons::new("softmax_cross_entropy", &case);
    let (probabilities, dlogits) = (layout.spread(run, &expected.probabilities), layout.spread(run, &dlogits));
    result.add("probabilities", &probabilities[row..], &bench.get(&layer.probabilities)?[row..]);
    result.add("dlogits", &dlogits[row..], &bench.get(&map.grad.tensor)?[row..]);
    let results = bench.get(&layer.results)?;
    result.add("loss", &[loss], &results[..1]);
    let counts = [correct as f64, batch as f64, f64::from(u8::from(broken.is_some())), weight];
    result.add_within(0.0, "counts and weights", &counts, &results[1..]);
    Ok(result.done())
}
