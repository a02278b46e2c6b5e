//! The `f64` references against PyTorch 2.15, from the script below: inputs are formulas, and of each result one sum
//! is compared whose weights no permutation or transposition leaves alone.
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
//! # convolution: batch 2, time 5, mel 4, 3 -> 2 channels, kernel 3x5
//! x, w, b = (t.requires_grad_() for t in (ramp(.3, 2, 5, 4, 3), ramp(.7, 3, 5, 3, 2), ramp(.2, 2)))
//! y = F.conv2d(x.permute(0, 3, 1, 2), w.permute(3, 2, 0, 1), b, padding=(1, 2)).permute(0, 2, 3, 1)
//! y.backward(ramp(.5, *y.shape)); sums(y, x.grad, w.grad, b.grad)
//! # max pool 3x3 same, 4x1 valid; average pool 2x2: batch 1, time 9, mel 5, 2 channels
//! for pool in (lambda x: F.max_pool2d(x, 3, 1, 1), lambda x: F.max_pool2d(x, (4, 1)), lambda x: F.avg_pool2d(x, 2)):
//!     x = ramp(.3, 1, 9, 5, 2).requires_grad_()
//!     y = pool(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
//!     y.backward(ramp(.5, *y.shape)); sums(y, x.grad)
//! # batch norm: 7 rows, 3 channels
//! x, bn = ramp(.3, 7, 3).requires_grad_(), torch.nn.BatchNorm1d(3, eps=1e-3, momentum=0.3)
//! bn.weight.data, bn.bias.data = ramp(.7, 3), ramp(.2, 3)
//! y = bn(x); y.backward(ramp(.5, 7, 3)); sums(y, x.grad, bn.weight.grad, bn.bias.grad, bn.running_mean, bn.running_var)
//! sums(bn.eval()(x))
//! # softmax cross-entropy: batch 4, 3 classes
//! x = (5 * ramp(.3, 4, 3)).requires_grad_()
//! loss = F.cross_entropy(x, torch.tensor([0, 2, 1, 1])); loss.backward(); print(round(loss.item(), 9)); sums(x.grad)
//! # IndRNN: time 6, batch 2, hidden 3
//! a, u = ramp(.3, 6, 2, 3).requires_grad_(), (1.1 * ramp(.7, 3)).requires_grad_()
//! h, hs = torch.zeros(2, 3), []
//! for t in range(6): h = torch.relu(a[t] + u * h); hs.append(h)
//! y = torch.stack(hs); y.backward(ramp(.5, 6, 2, 3)); sums(y, a.grad, u.grad)
//! # clip to norm 0.5, then AdamW, three steps
//! p = torch.nn.Parameter(ramp(.3, 5)); adam = torch.optim.AdamW([p], lr=0.1, weight_decay=0.2)
//! for step in range(1, 4):
//!     p.grad = step * ramp(.5 * step, 5); norm = torch.nn.utils.clip_grad_norm_([p], 0.5); adam.step()
//! print(round(norm.item(), 9), [round(float(v), 12) for v in p.detach()])
//! ```

use melgrad::reference::finite_difference::dot;
use melgrad::reference::window::Window;
use melgrad::reference::{adam, average_pool, batch_norm, convolution, gradient_clip, indrnn, max_pool, softmax_cross_entropy};

/// `ramp` of the script.
pub(crate) fn ramp(factor: f64, count: usize) -> Vec<f64> {
    (1..=count).map(|i| (factor * i as f64).sin()).collect()
}

/// `sums` of the script.
pub(crate) fn check(what: &str, actual: &[&[f64]], expected: &[f64]) {
    let sums: Vec<f64> = actual.iter().map(|values| dot(values, &ramp(0.9, values.len()))).collect();
    check_close(what, &sums, expected);
}

fn check_close(what: &str, actual: &[f64], expected: &[f64]) {
    let close = actual.len() == expected.len() && actual.iter().zip(expected).all(|(a, e)| (a - e).abs() < 2e-9);
    assert!(close, "{what}: {actual:?} instead of {expected:?}");
}

#[test]
fn a_convolution_is_pytorch_s() {
    let size = convolution::Size { batch: 2, time: 5, mel: 4, inputs: 3, outputs: 2, kernel_time: 3, kernel_mel: 5 };
    let (x, weight, bias) = (ramp(0.3, size.input_len()), ramp(0.7, size.weight_len()), ramp(0.2, 2));
    let dy = ramp(0.5, size.output_len());
    let y = convolution::forward(size, &x, &weight, &bias);
    let dx = convolution::backward_input(size, &dy, &weight);
    let (dweight, dbias) = (convolution::backward_weight(size, &x, &dy), convolution::backward_bias(size, &dy));
    check("y, dx, dweight, dbias", &[&y, &dx, &dweight, &dbias], &[-1.984447176, 3.139021117, 0.154282269, 3.21036247]);
}

#[test]
fn the_pools_are_pytorch_s() {
    let x = ramp(0.3, 90);
    for (window, expected) in [
        (Window::same(1, 9, 5, 2, [3, 3]), [-0.361373311, -10.091982951]),
        (Window::tiles(1, 9, 5, 2, [4, 1]), [-0.523504229, -2.549139479]),
    ] {
        let output = max_pool::forward(window, &x);
        let dx = max_pool::backward(window, &output.index, &ramp(0.5, output.y.len()));
        check(&format!("max pool {window:?}"), &[&output.y, &dx], &expected);
    }
    let window = Window::tiles(1, 9, 5, 2, [2, 2]);
    let y = average_pool::forward(window, &x);
    let dx = average_pool::backward(window, &ramp(0.5, y.len()));
    check("average pool", &[&y, &dx], &[0.066799649, -0.130518824]);
}

#[test]
fn batch_norm_and_its_running_statistics_are_pytorch_s() {
    let size = batch_norm::Size { rows: 7, channels: 3 };
    let (x, gamma, beta) = (ramp(0.3, 21), ramp(0.7, 3), ramp(0.2, 3));
    let (mut running_mean, mut running_var) = (vec![0.0; 3], vec![1.0; 3]);

    let statistics = batch_norm::Statistics::of_batch(size, &x, 1e-3);
    let y = batch_norm::forward(size, &x, &statistics, &gamma, &beta);
    let gradients = batch_norm::backward_training(size, &x, &ramp(0.5, 21), &statistics, &gamma);
    statistics.update_running(size, 0.3, &mut running_mean, &mut running_var);
    check(
        "y, dx, dgamma, dbeta, running_mean, running_var",
        &[&y, &gradients.dx, &gradients.dgamma, &gradients.dbeta, &running_mean, &running_var],
        &[0.021137908, 1.572535696, -1.649907664, 1.962806397, 0.000192348, 1.910445087],
    );

    let running = batch_norm::Statistics::given(&running_mean, &running_var, 1e-3);
    check("y in evaluation", &[&batch_norm::forward(size, &x, &running, &gamma, &beta)], &[0.020108032]);
}

#[test]
fn softmax_cross_entropy_is_pytorch_s() {
    let size = softmax_cross_entropy::Size { batch: 4, classes: 3 };
    let logits: Vec<f64> = ramp(0.3, 12).iter().map(|logit| 5.0 * logit).collect();
    let output = softmax_cross_entropy::forward(size, &logits, &[0, 2, 1, 1]);
    check_close("loss", &[output.loss], &[1.738914298]);
    check("dlogits", &[&output.dlogits], &[-0.009416104]);
}

#[test]
fn the_indrnn_recurrence_is_pytorch_s() {
    let size = indrnn::Size { time: 6, batch: 2, hidden: 3 };
    let u: Vec<f64> = ramp(0.7, 3).iter().map(|u| 1.1 * u).collect();
    let h = indrnn::forward(size, &ramp(0.3, 36), &u, None);
    let gradients = indrnn::backward(size, &u, None, &h, &ramp(0.5, 36));
    check("h, da, du", &[&h, &gradients.da, &gradients.du], &[0.606272108, -0.830942934, -5.51605302]);
}

#[test]
fn clipping_by_norm_and_adamw_are_pytorch_s() {
    let settings = adam::Adam { weight_decay: 0.2, ..adam::Adam::new(0.1) };
    let (mut value, mut m, mut v) = (ramp(0.3, 5), vec![0.0; 5], vec![0.0; 5]);
    let mut norm = 0.0;
    for step in 1..=3 {
        let mut grad: Vec<f64> = ramp(0.5 * step as f64, 5).iter().map(|grad| step as f64 * grad).collect();
        norm = gradient_clip::by_norm(&mut grad, 0.5);
        adam::step(settings, step, &mut value, &grad, &mut m, &mut v);
    }
    check_close("norm before clipping", &[norm], &[5.133764595]);
    check_close("value", &value, &[-0.011989343535, 0.252970562608, 0.569119569203, 0.790530869844, 0.845626381393]);
}
