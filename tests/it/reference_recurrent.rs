//! The `f64` recurrences against central differences and, as in module `reference_pytorch`, against PyTorch 2.15:
//!
//! ```python
//! # ramp and sums as there; time 6, batch 2, 4 -> 3
//! for net in (torch.nn.RNN(4, 3), torch.nn.RNN(4, 3, nonlinearity="relu"), torch.nn.LSTM(4, 3), torch.nn.GRU(4, 3)):
//!     n, x = net.weight_ih_l0.shape[0], ramp(.3, 6, 2, 4).requires_grad_()
//!     net.weight_ih_l0.data, net.weight_hh_l0.data = ramp(.7, 4, n).T, ramp(.4, 3, n).T
//!     net.bias_ih_l0.data, net.bias_hh_l0.data = ramp(.2, n), ramp(.6, n)
//!     y = net(x)[0]; y.backward(ramp(.5, *y.shape))
//!     sums(y, x.grad, net.weight_ih_l0.grad.T, net.weight_hh_l0.grad.T, net.bias_ih_l0.grad, net.bias_hh_l0.grad)
//! ```

use crate::reference::check as differences;
use crate::reference_pytorch::{check, ramp};
use melgrad::reference::finite_difference::dot;
use melgrad::reference::noise::Noise;
use melgrad::reference::recurrence::{Gradients, Size};
use melgrad::reference::rnn::Activation;
use melgrad::reference::{gru, linear, lstm, rnn};

const CELLS: [(&str, usize, Forward, Backward); 4] = [
    (
        "tanh",
        1,
        |size, a, w, b| rnn::forward(size, Activation::Tanh, a, w, b),
        |size, a, w, b, dh| rnn::backward(size, Activation::Tanh, w, &rnn::forward(size, Activation::Tanh, a, w, b), dh),
    ),
    (
        "relu",
        1,
        |size, a, w, b| rnn::forward(size, Activation::Relu, a, w, b),
        |size, a, w, b, dh| rnn::backward(size, Activation::Relu, w, &rnn::forward(size, Activation::Relu, a, w, b), dh),
    ),
    (
        "lstm",
        4,
        |size, a, w, b| lstm::forward(size, a, w, b).h,
        |size, a, w, b, dh| lstm::backward(size, w, &lstm::forward(size, a, w, b), dh),
    ),
    (
        "gru",
        3,
        |size, a, w, b| gru::forward(size, a, w, b).h,
        |size, a, w, b, dh| gru::backward(size, w, &gru::forward(size, a, w, b), dh),
    ),
];

type Forward = fn(Size, &[f64], &[f64], &[f64]) -> Vec<f64>;
type Backward = fn(Size, &[f64], &[f64], &[f64], &[f64]) -> Gradients;

#[test]
fn the_gradients_of_the_recurrences_are_their_central_differences() {
    for (time, batch, hidden) in [(1, 1, 1), (1, 2, 3), (5, 1, 2), (7, 3, 4)] {
        let size = Size { time, batch, hidden };
        for (name, gates, forward, backward) in CELLS {
            let mut noise = Noise::new(7);
            let columns = gates * hidden;
            let (weight, bias) = (noise.numbers(hidden * columns), noise.numbers(columns));
            let (a, dh) = (noise.numbers(time * batch * columns), noise.numbers(size.states_len()));
            let gradients = backward(size, &a, &weight, &bias, &dh);
            let what = |part: &str| format!("{name} {part} {size:?}");
            let loss = |a: &[f64], weight: &[f64], bias: &[f64]| dot(&forward(size, a, weight, bias), &dh);
            differences(&what("da"), &a, &gradients.da, |a| loss(a, &weight, &bias));
            differences(&what("dweight"), &weight, &gradients.dweight, |weight| loss(&a, weight, &bias));
            differences(&what("dbias"), &bias, &gradients.dbias, |bias| loss(&a, &weight, bias));
        }
    }
}

#[test]
fn the_recurrences_are_pytorch_s() {
    let size = Size { time: 6, batch: 2, hidden: 3 };
    let expected = [
        [0.760946716, 0.030255357, 0.128485909, 0.069185708, 0.491940232, 0.491940232],
        [-26.053269535, 5.979001514, -6.481441532, -95.566909307, -44.988127861, -44.988127861],
        [0.653115294, 0.360636372, -0.382776851, 1.647709149, -8.161441867, -8.161441867],
        [-0.620077836, 0.033507376, -0.315079267, -0.191476196, 0.136639245, 0.079059642],
    ];
    for ((name, gates, forward, backward), expected) in CELLS.into_iter().zip(expected) {
        let columns = 3 * gates;
        let product = linear::Size { rows: 12, inputs: 4, outputs: columns };
        let (x, weight_ih, bias_ih) = (ramp(0.3, 48), ramp(0.7, 4 * columns), ramp(0.2, columns));
        let (weight_hh, bias_hh) = (ramp(0.4, 3 * columns), ramp(0.6, columns));
        let a = linear::forward(product, &x, &weight_ih, Some(&bias_ih));
        let y = forward(size, &a, &weight_hh, &bias_hh);
        let Gradients { da, dweight, dbias } = backward(size, &a, &weight_hh, &bias_hh, &ramp(0.5, 36));
        let dx = linear::backward_input(product, &da, &weight_ih);
        let (dweight_ih, dbias_ih) = (linear::backward_weight(product, &x, &da), linear::backward_bias(product, &da));
        check(&format!("{name}: y, dx, weights, biases"), &[&y, &dx, &dweight_ih, &dweight, &dbias_ih, &dbias], &expected);
    }
}
