//! The kernels of loss and update beside their `f64` references: as module `kernels`, which has those of the layers.

use crate::kernels::try_all;
use melgrad::gpu::Precision;
use melgrad::optim::{OptimizerSettings, Rule};
use melgrad::selftest::{accumulate, optimizer, softmax_cross_entropy};

#[test]
fn softmax_cross_entropy_agrees_with_its_reference() {
    use softmax_cross_entropy::Case;
    let mut cases = vec![
        Case::new(1, 2, 3.0),
        Case::new(33, 10, 3.0),
        Case::new(100, 10, 3.0),
        Case::new(64, 3, 3.0),
        Case::new(65, 129, 3.0),
        Case { capacity: 64, ..Case::new(33, 10, 3.0) },
        Case { gradient_scale: 32_768.0, ..Case::new(33, 10, 3.0) },
    ];
    for magnitude in [0.4, 80.0, 1e4] {
        cases.extend([Case::new(1, 10, magnitude), Case::new(100, 10, magnitude)]);
    }
    for case in cases.clone() {
        let divisor = Some(3.5 * case.batch as f32);
        cases.extend([
            Case { smoothing: 0.1, ..case },
            Case { weighted: true, ..case },
            Case { smoothing: 0.3, weighted: true, ..case },
            Case { smoothing: 0.1, weighted: true, divisor, ..case },
            Case { divisor, ..case },
        ]);
    }
    for broken in [f32::NAN, f32::INFINITY] {
        let broken = Case { broken: Some(broken), ..Case::new(1, 10, 3.0) };
        let among = Case { batch: 100, capacity: 120, ..broken };
        cases.extend([broken, among, Case { weighted: true, ..among }, Case { smoothing: 0.1, ..among }]);
    }
    try_all(&cases, softmax_cross_entropy::check);
}

#[test]
fn ten_steps_of_each_optimiser_agree_with_their_reference() {
    use optimizer::Case;
    let mut cases = Vec::new();
    for rule in [Rule::ADAM, Rule::ADAMW, Rule::Sgd { momentum: 0.0 }, Rule::Sgd { momentum: 0.9 }] {
        let settings = |clip_norm, clip_value, weight_decay| OptimizerSettings { rule, clip_norm, clip_value, weight_decay };
        let plain = Case { weight: [7, 5], hidden: 13, settings: settings(0.0, 0.0, 0.0), broken: None, gradient_scale: 1.0 };
        cases.extend([plain, Case { weight: [130, 70], hidden: 1, ..plain }]);
        for settings in [
            settings(0.5, 0.0, 0.0),
            settings(1000.0, 0.0, 0.0),
            settings(0.0, 0.1, 0.0),
            settings(0.0, 0.0, 0.1),
            settings(2.0, 0.02, 0.1),
        ] {
            cases.push(Case { settings, ..plain });
            cases.push(Case { settings, weight: [130, 70], hidden: 130, ..plain });
        }
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            cases.push(Case { broken: Some(broken), settings: settings(0.5, 0.0, 0.01), ..plain });
        }
    }
    try_all(&cases, optimizer::check);
    // The scale of the gradients changes nothing but itself.
    let scaled: Vec<Case> = cases.into_iter().map(|case| Case { gradient_scale: 4096.0, ..case }).collect();
    try_all(&scaled, |gpu, case| optimizer::check(&gpu.with_precision(Precision::Mixed), case));
}

#[test]
fn accumulated_gradients_agree_with_their_sums() {
    let case = |elements, batches| accumulate::Case { elements, batches };
    try_all(&[case(1, 1), case(1, 2), case(64, 2), case(4321, 5), case(200_000, 3)], accumulate::check);
}
