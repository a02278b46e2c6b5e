//! The `f64` references against central differences. Against PyTorch: module `reference_pytorch`.

use melgrad::reference::finite_difference::{dot, worst};
use melgrad::reference::noise::Noise;
use melgrad::reference::window::Window;
use melgrad::reference::{
    average_pool, batch_norm, convolution, global_average_pool, gradient_clip, indrnn, indrnn_scan, linear, max_pool, relu,
    softmax_cross_entropy,
};

/// In `f64` a right gradient stays below 1e-9 of its central difference; a wrong one is off by a share of 1.
const TOLERANCE: f64 = 1e-8;
const STEP: f64 = 1e-5;

pub(crate) fn check(what: &str, x: &[f64], gradient: &[f64], f: impl Fn(&[f64]) -> f64) {
    let worst = worst(x, gradient, STEP, f);
    assert!(worst.error < TOLERANCE, "{what}: {worst}");
}

#[test]
fn the_gradients_of_a_linear_layer_are_its_central_differences() {
    for (rows, inputs, outputs) in [(1, 1, 1), (3, 5, 2), (7, 4, 9)] {
        let size = linear::Size { rows, inputs, outputs };
        let mut noise = Noise::new(1);
        let x = noise.numbers(size.input_len());
        let weight = noise.numbers(size.weight_len());
        let bias = noise.numbers(outputs);
        let dy = noise.numbers(size.output_len());
        let what = |part: &str| format!("linear {part} {size:?}");

        let loss = |x: &[f64], weight: &[f64], bias: &[f64]| dot(&linear::forward(size, x, weight, Some(bias)), &dy);
        check(&what("dx"), &x, &linear::backward_input(size, &dy, &weight), |x| loss(x, &weight, &bias));
        check(&what("dweight"), &weight, &linear::backward_weight(size, &x, &dy), |weight| loss(&x, weight, &bias));
        check(&what("dbias"), &bias, &linear::backward_bias(size, &dy), |bias| loss(&x, &weight, bias));
    }
}

#[test]
fn the_gradients_of_a_convolution_are_its_central_differences() {
    for (batch, time, mel, inputs, outputs, kernel_time, kernel_mel) in [
        (1, 1, 1, 1, 1, 1, 1),
        (2, 5, 4, 3, 2, 3, 3),
        (1, 3, 7, 2, 3, 5, 5),
        (1, 2, 2, 1, 2, 5, 3), // the kernel is larger than the image
        (2, 4, 3, 5, 4, 1, 1),
    ] {
        let size = convolution::Size { batch, time, mel, inputs, outputs, kernel_time, kernel_mel };
        let mut noise = Noise::new(2);
        let x = noise.numbers(size.input_len());
        let weight = noise.numbers(size.weight_len());
        let bias = noise.numbers(outputs);
        let dy = noise.numbers(size.output_len());
        let what = |part: &str| format!("convolution {part} {size:?}");

        let loss = |x: &[f64], weight: &[f64], bias: &[f64]| dot(&convolution::forward(size, x, weight, bias), &dy);
        check(&what("dx"), &x, &convolution::backward_input(size, &dy, &weight), |x| loss(x, &weight, &bias));
        check(&what("dweight"), &weight, &convolution::backward_weight(size, &x, &dy), |weight| loss(&x, weight, &bias));
        check(&what("dbias"), &bias, &convolution::backward_bias(size, &dy), |bias| loss(&x, &weight, bias));
    }
}

#[test]
fn a_one_by_one_convolution_is_a_linear_layer_of_every_pixel() {
    let size = convolution::Size { batch: 2, time: 3, mel: 5, inputs: 4, outputs: 3, kernel_time: 1, kernel_mel: 1 };
    let rows = linear::Size { rows: 30, inputs: 4, outputs: 3 };
    let mut noise = Noise::new(3);
    let (x, weight, bias) = (noise.numbers(size.input_len()), noise.numbers(size.weight_len()), noise.numbers(3));
    assert_eq!(convolution::forward(size, &x, &weight, &bias), linear::forward(rows, &x, &weight, Some(&bias)));
}

#[test]
fn the_gradients_of_the_pools_are_their_central_differences() {
    for window in [
        Window::same(2, 5, 4, 3, [3, 3]),
        Window::same(1, 1, 1, 2, [3, 3]),
        Window::tiles(2, 11, 3, 2, [4, 1]),
        Window::tiles(1, 5, 7, 3, [2, 2]),
        Window { batch: 1, time: 7, mel: 6, channels: 2, kernel: [3, 2], stride: [2, 1], padding: [1, 0] },
    ] {
        let mut noise = Noise::new(4);
        let x = noise.separated(window.input_len());
        let dy = noise.numbers(window.output_len());

        let index = max_pool::forward(window, &x).index;
        check(&format!("max pool {window:?}"), &x, &max_pool::backward(window, &index, &dy), |x| {
            dot(&max_pool::forward(window, x).y, &dy)
        });
        if window.padding == [0, 0] {
            check(&format!("average pool {window:?}"), &x, &average_pool::backward(window, &dy), |x| {
                dot(&average_pool::forward(window, x), &dy)
            });
        }
    }
}

#[test]
fn pooled_shapes_are_those_of_the_paper() {
    for (window, expected) in [
        (Window::tiles(8, 647, 128, 32, [4, 1]), [161, 128]),
        (Window::tiles(8, 161, 128, 32, [2, 2]), [80, 64]),
        (Window::same(8, 161, 128, 32, [3, 3]), [161, 128]),
        (Window::tiles(1, 3, 5, 1, [4, 1]), [0, 5]),
    ] {
        assert_eq!(window.output(), expected, "{window:?}");
    }
}

#[test]
fn the_first_of_equal_maxima_takes_the_gradient() {
    let window = Window::tiles(1, 2, 4, 1, [2, 2]);
    let output = max_pool::forward(window, &[1.0, 7.0, 0.0, 0.0, 7.0, 7.0, 0.0, 0.0]);
    assert_eq!(output.y, [7.0, 0.0]);
    assert_eq!(output.index, [1, 2]);
    assert_eq!(max_pool::backward(window, &output.index, &[3.0, 5.0]), [0.0, 3.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn padding_never_wins_a_maximum() {
    let window = Window::same(1, 2, 2, 1, [3, 3]);
    assert_eq!(max_pool::forward(window, &[-4.0, -3.0, -2.0, -5.0]).y, [-2.0; 4]);
}

#[test]
fn the_gradients_of_global_average_pooling_are_its_central_differences() {
    for size in [global_average_pool::Size::image(2, 3, 5, 4), global_average_pool::Size::sequence(7, 3, 2)] {
        let mut noise = Noise::new(5);
        let (x, dy) = (noise.numbers(size.input_len()), noise.numbers(size.output_len()));
        check(&format!("{size:?}"), &x, &global_average_pool::backward(size, &dy), |x| {
            dot(&global_average_pool::forward(size, x), &dy)
        });
    }
    let sequence = global_average_pool::Size::sequence(2, 2, 3);
    let x: Vec<f64> = (0..12).map(f64::from).collect();
    assert_eq!(global_average_pool::forward(sequence, &x), [3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
}

#[test]
fn the_gradients_of_batch_norm_are_its_central_differences() {
    for (rows, channels, eps) in [(2, 1, 1e-3), (7, 3, 1e-3), (13, 5, 1e-5)] {
        let size = batch_norm::Size { rows, channels };
        let mut noise = Noise::new(6);
        let x = noise.numbers(size.input_len());
        let (gamma, beta) = (noise.numbers(channels), noise.numbers(channels));
        let dy = noise.numbers(size.input_len());
        let what = |part: &str| format!("batch norm {part} {size:?}");

        let statistics = batch_norm::Statistics::of_batch(size, &x, eps);
        let training = |x: &[f64], gamma: &[f64], beta: &[f64]| {
            dot(&batch_norm::forward(size, x, &batch_norm::Statistics::of_batch(size, x, eps), gamma, beta), &dy)
        };
        let gradients = batch_norm::backward_training(size, &x, &dy, &statistics, &gamma);
        check(&what("dx"), &x, &gradients.dx, |x| training(x, &gamma, &beta));
        check(&what("dgamma"), &gamma, &gradients.dgamma, |gamma| training(&x, gamma, &beta));
        check(&what("dbeta"), &beta, &gradients.dbeta, |beta| training(&x, &gamma, beta));

        let running = batch_norm::Statistics::given(&noise.numbers(channels), &vec![0.7; channels], eps);
        let evaluation = |x: &[f64], gamma: &[f64], beta: &[f64]| dot(&batch_norm::forward(size, x, &running, gamma, beta), &dy);
        let gradients = batch_norm::backward_evaluation(size, &x, &dy, &running, &gamma);
        check(&what("dx in evaluation"), &x, &gradients.dx, |x| evaluation(x, &gamma, &beta));
        check(&what("dgamma in evaluation"), &gamma, &gradients.dgamma, |gamma| evaluation(&x, gamma, &beta));
        check(&what("dbeta in evaluation"), &beta, &gradients.dbeta, |beta| evaluation(&x, &gamma, beta));
    }
}

#[test]
fn the_gradient_of_relu_is_its_central_difference_and_zero_at_zero() {
    let mut noise = Noise::new(7);
    let x = noise.separated(21);
    let dy = noise.numbers(21);
    check("relu dx", &x, &relu::backward(&x, &dy), |x| dot(&relu::forward(x), &dy));
    assert_eq!(relu::backward(&relu::forward(&x), &dy), relu::backward(&x, &dy));
    assert_eq!(relu::backward(&[0.0, -0.0], &[1.0, 1.0]), [0.0, 0.0]);
}

#[test]
fn the_gradient_of_softmax_cross_entropy_is_its_central_difference() {
    for (batch, classes) in [(1, 2), (3, 5), (7, 10)] {
        let size = softmax_cross_entropy::Size { batch, classes };
        let mut noise = Noise::new(8);
        let logits: Vec<f64> = noise.numbers(batch * classes).iter().map(|logit| 4.0 * logit).collect();
        let labels = noise.labels(batch, classes);
        let output = softmax_cross_entropy::forward(size, &logits, &labels);
        check(&format!("dlogits {size:?}"), &logits, &output.dlogits, |logits| {
            softmax_cross_entropy::forward(size, logits, &labels).loss
        });
        let weights: Vec<f64> = noise.numbers(classes).iter().map(|weight| weight.abs()).collect();
        let weighted = |logits: &[f64]| softmax_cross_entropy::forward_weighted(size, logits, &labels, &weights, 0.2);
        check(&format!("weighted {size:?}"), &logits, &weighted(&logits).dlogits, |logits| weighted(logits).loss);
        for row in output.probabilities.chunks(classes) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-14);
        }
    }
}

#[test]
fn softmax_cross_entropy_survives_large_logits_and_counts_the_first_of_equals() {
    let size = softmax_cross_entropy::Size { batch: 3, classes: 2 };
    let output = softmax_cross_entropy::forward(size, &[1000.0, -1000.0, -1e4, -1e4, 5.0, 5.0], &[1, 0, 1]);
    assert_eq!(output.correct, 1);
    assert!((output.loss - (2000.0 + 2.0 * 2f64.ln()) / 3.0).abs() < 1e-9, "{}", output.loss);
}

#[test]
fn the_gradients_of_the_indrnn_recurrence_are_its_central_differences() {
    for (time, batch, hidden) in [(1, 1, 1), (5, 2, 3), (17, 3, 4)] {
        let size = indrnn::Size { time, batch, hidden };
        for u_scale in [0.5, 1.05] {
            let (seed, a, u, initial) = off_the_kinks(size, u_scale);
            let dh = Noise::new(seed + 1000).numbers(size.input_len());
            let what = |part: &str| format!("indrnn {part} {size:?}, |u| < {u_scale}");

            let loss = |a: &[f64], u: &[f64], initial: &[f64]| dot(&indrnn::forward(size, a, u, Some(initial)), &dh);
            let h = indrnn::forward(size, &a, &u, Some(&initial));
            let gradients = indrnn::backward(size, &u, Some(&initial), &h, &dh);
            check(&what("da"), &a, &gradients.da, |a| loss(a, &u, &initial));
            check(&what("du"), &u, &gradients.du, |u| loss(&a, u, &initial));
            check(&what("dinitial"), &initial, &gradients.dinitial, |initial| loss(&a, &u, initial));

            let nothing = vec![0.0; size.state_len()];
            assert_eq!(indrnn::forward(size, &a, &u, None), indrnn::forward(size, &a, &u, Some(&nothing)));
            let h = indrnn::forward(size, &a, &u, None);
            assert_eq!(indrnn::backward(size, &u, None, &h, &dh), indrnn::backward(size, &u, Some(&nothing), &h, &dh));
        }
    }
}

#[test]
fn the_scan_of_the_indrnn_recurrence_is_the_recurrence() {
    let close = |what: &str, scanned: &[f64], expected: &[f64]| {
        let largest = expected.iter().fold(1.0f64, |largest, value| largest.max(value.abs()));
        // Not `>`, which lets a NaN pass.
        let all = scanned.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-12 * largest);
        assert!(all && scanned.len() == expected.len(), "{what}");
    };
    for (time, u_scale, magnitude) in [(1, 1.0, 1.0), (2, 1.0, 1.0), (61, 1.0, 1.0), (647, 1.001, 1e10), (61, 1e-160, 1.0)] {
        let size = indrnn::Size { time, batch: 2, hidden: 5 };
        let mut noise = Noise::new(time as u64);
        let a: Vec<f64> = noise.numbers(size.input_len()).iter().map(|a| a * magnitude).collect();
        let dh = noise.numbers(size.input_len());
        let u = [u_scale, -u_scale, 0.0, 0.6 * u_scale, -0.6 * u_scale];
        let h = indrnn::forward(size, &a, &u, None);
        let expected = indrnn::backward(size, &u, None, &h, &dh);
        for chunks in [1, 2, 8, 64] {
            let what = format!("{size:?} in {chunks} chunks, |u| up to {u_scale}");
            close(&what, &indrnn_scan::forward(size, &a, &u, chunks), &h);
            let gradients = indrnn_scan::backward(size, &u, &h, &dh, chunks);
            close(&what, &gradients.da, &expected.da);
            close(&what, &gradients.du, &expected.du);
            close(&what, &gradients.dinitial, &expected.dinitial);
        }
    }
}

#[test]
fn clamped_maps_compose_in_any_grouping() {
    use indrnn_scan::Clamped;
    let mut noise = Noise::new(5);
    for _ in 0..1000 {
        let [f, g, h] = [0, 1, 2].map(|_| Clamped::step(1.5 * noise.number(), noise.number()));
        for x in [-2.0, -0.3, 0.0, 0.1, 3.0] {
            let one_by_one = h.at(g.at(f.at(x)));
            for composed in [f.then(g).then(h), f.then(g.then(h))] {
                assert!((composed.at(x) - one_by_one).abs() < 1e-12, "{f:?} {g:?} {h:?} at {x}");
            }
        }
    }
}

/// The first seed and its `a`, `u` and initial state whose every pre-activation keeps clear of zero, so that no
/// central difference crosses the kink of the ReLU.
fn off_the_kinks(size: indrnn::Size, u_scale: f64) -> (u64, Vec<f64>, Vec<f64>, Vec<f64>) {
    for seed in 0..100_000 {
        let mut noise = Noise::new(seed);
        let a = noise.numbers(size.input_len());
        let u: Vec<f64> = noise.numbers(size.hidden).iter().map(|u| u * u_scale).collect();
        let initial: Vec<f64> = noise.numbers(size.state_len()).iter().map(|h| h.abs()).collect();
        let h = indrnn::forward(size, &a, &u, Some(&initial));
        let before: Vec<f64> = initial.iter().chain(&h).copied().take(size.input_len()).collect();
        let clear = (0..size.input_len()).all(|at| (a[at] + u[at % size.hidden] * before[at]).abs() > 1e-3);
        if clear {
            return (seed, a, u, initial);
        }
    }
    panic!("no seed keeps {size:?} clear of zero");
}

#[test]
fn the_recurrent_bound_keeps_a_state_within_gamma() {
    for (gamma, frames) in [(2.0, 647), (5.0, 100), (0.5, 3)] {
        let bound = indrnn::bound(gamma, frames);
        assert!((bound.powi(frames as i32) - gamma).abs() < 1e-9);
        let mut u = [-9.0, 0.1, 9.0];
        indrnn::constrain(&mut u, bound);
        assert_eq!(u, [-bound, 0.1, bound]);
    }
    assert!((indrnn::bound(2.0, 647) - 1.00107).abs() < 1e-5);
}

#[test]
fn clipping_by_value_clamps_each_element() {
    let mut grad = [-11.0, 0.5, 10.0, 1e9];
    gradient_clip::by_value(&mut grad, 10.0);
    assert_eq!(grad, [-10.0, 0.5, 10.0, 10.0]);
}

#[test]
fn finite_differences_find_a_wrong_gradient() {
    let f = |x: &[f64]| x[0] * x[0] + 3.0 * x[1];
    assert!(worst(&[2.0, 5.0], &[4.0, 3.0], STEP, f).error < 1e-9);
    let wrong = worst(&[2.0, 5.0], &[4.0, 3.3], STEP, f);
    assert_eq!(wrong.index, 1);
    assert!(wrong.error > 0.09, "{wrong}");
    assert!(worst(&[2.0, 5.0], &[f64::NAN, 3.0], STEP, f).error.is_nan());
}
