//! Softmax with cross-entropy, as `torch.nn.functional.cross_entropy` has it with class weights `w` and label smoothing
//! `e`: with `nll[c] = -log p[c]`, a sample's loss is
//! `(1 - e) w[label] nll[label] + e / classes (w[0] nll[0] + w[1] nll[1] + ..)`, and the batch's is the sum of these over
//! the sum of `w[label]`.
//!
//! Backward: `dlogits = ((1 - e) w[label] (p - onehot(label)) + e / classes (p sum(w) - w)) / sum of w[label]`. The largest
//! logit is subtracted first, so nothing overflows.

/// The sizes of one loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Samples that the loss is averaged over.
    pub batch: usize,
    /// Logits per sample.
    pub classes: usize,
}

/// The loss and all that comes with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Weighted mean loss in nats.
    pub loss: f64,
    /// Each sample's part of the sum that the mean is taken of, shape `(batch)`.
    pub losses: Vec<f64>,
    /// What that sum is divided by: the weights of the labels, added up.
    pub divisor: f64,
    /// Shape `(batch, classes)`.
    pub probabilities: Vec<f64>,
    /// Gradient of the mean loss, shape `(batch, classes)`.
    pub dlogits: Vec<f64>,
    /// Samples whose largest logit, the first among equals, is their label's.
    pub correct: usize,
}

/// Loss, probabilities and gradient of `logits` of shape `(batch, classes)`, all classes alike, nothing smoothed.
pub fn forward(size: Size, logits: &[f64], labels: &[u32]) -> Output {
    forward_weighted(size, logits, labels, &vec![1.0; size.classes], 0.0)
}

/// As [`forward`], with a weight for each class and `smoothing` of the target spread over all classes.
pub fn forward_weighted(size: Size, logits: &[f64], labels: &[u32], weights: &[f64], smoothing: f64) -> Output {
    assert_eq!((logits.len(), labels.len()), (size.batch * size.classes, size.batch), "{size:?}");
    assert_eq!(weights.len(), size.classes, "{size:?}");
    let divisor = labels.iter().map(|&label| weights[label as usize]).sum();
    let (mut losses, mut probabilities, mut dlogits, mut correct) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let share = smoothing / size.classes as f64;
    let sum_of_weights: f64 = weights.iter().sum();
    for (logits, &label) in logits.chunks_exact(size.classes).zip(labels) {
        let label = label as usize;
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
        let nll = |class: usize| largest + sum.ln() - logits[class];
        let kept = (1.0 - smoothing) * weights[label];
        let spread: f64 = (0..size.classes).map(|class| weights[class] * nll(class)).sum();
        losses.push(kept * nll(label) + share * spread);
        correct += usize::from(logits.iter().position(|&logit| logit == largest) == Some(label));
        for (class, logit) in logits.iter().enumerate() {
            let probability = (logit - largest).exp() / sum;
            let target = f64::from(u8::from(class == label));
            probabilities.push(probability);
            let gradient = kept * (probability - target) + share * (probability * sum_of_weights - weights[class]);
            dlogits.push(gradient / divisor);
        }
    }
    Output { loss: losses.iter().sum::<f64>() / divisor, losses, divisor, probabilities, dlogits, correct }
}
