//! The `f64` references of loss and update against PyTorch 2.15, from the script below and in the manner of module
//! `reference_pytorch`.
//!
//! ```python
//! import torch, torch.nn.functional as F
//! torch.set_default_dtype(torch.float64)
//! def ramp(factor, *shape):
//!     n = torch.Size(shape).numel()
//!     return torch.sin(factor * torch.arange(1, n + 1)).reshape(shape)
//! def sums(*tensors):  # one number that no permutation leaves alone
//!     print([round(float((t.detach().flatten() * ramp(0.9, t.numel())).sum()), 9) for t in tensors])
//!
//! # clip to norm 0.5, clamp to 0.2, then three steps of each optimiser
//! for new in (lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.2),
//!             lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.2),
//!             lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, weight_decay=0.2)):
//!     p = torch.nn.Parameter(ramp(.3, 5)); rule = new([p])
//!     for step in range(1, 4):
//!         p.grad = step * ramp(.5 * step, 5)
//!         norm = torch.nn.utils.clip_grad_norm_([p], 0.5); torch.nn.utils.clip_grad_value_([p], 0.2)
//!         rule.step()
//!     print(round(norm.item(), 9), [round(float(v), 12) for v in p.detach()])
//! # cross-entropy with label smoothing, class weights and both: batch 4, 3 classes
//! for options in (dict(label_smoothing=.1), dict(weight=ramp(.7, 3) ** 2), dict(label_smoothing=.1, weight=ramp(.7, 3) ** 2)):
//!     x = (5 * ramp(.3, 4, 3)).requires_grad_()
//!     loss = F.cross_entropy(x, torch.tensor([0, 2, 1, 1]), **options); loss.backward()
//!     print(round(loss.item(), 9)); sums(x.grad)
//! ```

use crate::reference_pytorch::{check, check_close, ramp};
use melgrad::reference::{adam, gradient_clip, sgd, softmax_cross_entropy};

/// The norm before clipping in the last of three steps, and the values after them.
fn three_steps(mut step: impl FnMut(u64, &mut [f64], &[f64])) -> (f64, Vec<f64>) {
    let (mut value, mut norm) = (ramp(0.3, 5), 0.0);
    for number in 1..=3 {
        let mut grad: Vec<f64> = ramp(0.5 * number as f64, 5).iter().map(|grad| number as f64 * grad).collect();
        norm = gradient_clip::by_norm(&mut grad, 0.5);
        gradient_clip::by_value(&mut grad, 0.2);
        step(number, &mut value, &grad);
    }
    (norm, value)
}

#[test]
fn clipping_and_then_adam_and_adamw_are_pytorch_s() {
    for (decoupled, expected) in [
        (false, [-0.00451677762, 0.273888837836, 0.532602636174, 0.714135315977, 0.755274046855]),
        (true, [-0.014915881956, 0.251684413013, 0.562766769908, 0.807982207379, 0.825522940394]),
    ] {
        let settings = adam::Adam { weight_decay: 0.2, decoupled, ..adam::Adam::new(0.1) };
        let (mut m, mut v) = (vec![0.0; 5], vec![0.0; 5]);
        let (norm, value) = three_steps(|step, value, grad| adam::step(settings, step, value, grad, &mut m, &mut v));
        check_close("norm before clipping", &[norm], &[5.133764595]);
        check_close(&format!("value, decoupled: {decoupled}"), &value, &expected);
    }
}

#[test]
fn clipping_and_then_sgd_with_momentum_and_decay_are_pytorch_s() {
    let settings = sgd::Sgd { learning_rate: 0.1, momentum: 0.8, weight_decay: 0.2 };
    let mut buffer = vec![0.0; 5];
    let (_, value) = three_steps(|_, value, grad| sgd::step(settings, value, grad, &mut buffer));
    check_close("value", &value, &[0.177338619424, 0.419411077804, 0.668106227898, 0.832464936478, 0.870248652059]);
}

#[test]
fn cross_entropy_with_smoothing_and_class_weights_is_pytorch_s() {
    let size = softmax_cross_entropy::Size { batch: 4, classes: 3 };
    let logits: Vec<f64> = ramp(0.3, 12).iter().map(|logit| 5.0 * logit).collect();
    let (alike, weights) = (vec![1.0; 3], ramp(0.7, 3).iter().map(|w| w * w).collect::<Vec<f64>>());
    for (smoothing, weights, loss, dlogits) in [
        (0.1, &alike, 1.710059231, -0.006963388),
        (0.0, &weights, 1.598462237, 0.024093983),
        (0.1, &weights, 1.574507674, 0.024713566),
    ] {
        let output = softmax_cross_entropy::forward_weighted(size, &logits, &[0, 2, 1, 1], weights, smoothing);
        let what = format!("smoothed by {smoothing}, weights {weights:?}");
        check_close(&format!("loss {what}"), &[output.loss], &[loss]);
        check(&format!("dlogits {what}"), &[&output.dlogits], &[dlogits]);
    }
}
