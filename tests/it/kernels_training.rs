//! The kernels of loss and update beside their `f64` references: as module `kernels`, which has those of the layers.

use crate::kernels::try_all;
use melgrad::optim::{OptimizerSettings, Rule};
use melgrad::selftest::{optimizer, softmax_cross_entropy};

#[test]
fn softmax_cross_entropy_agrees_with_its_reference() {
    use softmax_cross_entropy::Case;
    let case = |batch, classes| Case { batch, capacity: batch, classes, magnitude: 3.0, broken: None };
    let mut cases = vec![case(1, 2), case(33, 10), case(100, 10), case(64, 3), case(65, 129)];
    for magnitude in [0.4, 80.0, 1e4] {
        cases.extend([Case { magnitude, ..case(1, 10) }, Case { magnitude, ..case(100, 10) }]);
    }
    for broken in [f32::NAN, f32::INFINITY] {
        cases.extend([
            Case { broken: Some(broken), ..case(1, 10) },
            Case { broken: Some(broken), capacity: 120, ..case(100, 10) },
        ]);
    }
    cases.push(Case { capacity: 64, ..case(33, 10) });
    try_all(&cases, softmax_cross_entropy::check);
}

#[test]
fn ten_steps_of_each_optimiser_agree_with_their_reference() {
    use optimizer::Case;
    let mut cases = Vec::new();
    for rule in [Rule::ADAM, Rule::ADAMW, Rule::Sgd { momentum: 0.0 }, Rule::Sgd { momentum: 0.9 }] {
        let settings = |clip_norm, clip_value, weight_decay| OptimizerSettings { rule, clip_norm, clip_value, weight_decay };
        let plain = Case { weight: [7, 5], hidden: 13, settings: settings(0.0, 0.0, 0.0), broken: None };
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
}
