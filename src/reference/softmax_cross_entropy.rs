//! Softmax with cross-entropy: `p = softmax(logits)`, `loss = mean over the batch of -log p[label]`.
//!
//! Backward: `dlogits = (p - onehot(label)) / batch`. The largest logit is subtracted first, so nothing overflows.

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
    /// Mean loss in nats.
    pub loss: f64,
    /// Shape `(batch, classes)`.
    pub probabilities: Vec<f64>,
    /// Gradient of the mean loss, shape `(batch, classes)`.
    pub dlogits: Vec<f64>,
    /// Samples whose largest logit, the first among equals, is their label's.
    pub correct: usize,
}

/// Loss, probabilities and gradient of `logits` of shape `(batch, classes)`.
pub fn forward(size: Size, logits: &[f64], labels: &[u32]) -> Output {
    assert_eq!((logits.len(), labels.len()), (size.batch * size.classes, size.batch), "{size:?}");
    let mut output = Output { loss: 0.0, probabilities: Vec::new(), dlogits: Vec::new(), correct: 0 };
    let batch = size.batch as f64;
    for (logits, &label) in logits.chunks_exact(size.classes).zip(labels) {
        let label = label as usize;
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
        output.loss += (largest + sum.ln() - logits[label]) / batch;
        output.correct += usize::from(logits.iter().position(|&logit| logit == largest) == Some(label));
        for (class, logit) in logits.iter().enumerate() {
            let probability = (logit - largest).exp() / sum;
            let target = f64::from(u8::from(class == label));
            output.probabilities.push(probability);
            output.dlogits.push((probability - target) / batch);
        }
    }
    output
}
