//! Plain IndRNNs, their batch norms folded into products and not, beside their reference: the two are the same network.

use crate::kernels::{devices, size, try_all, try_each};
use melgrad::layers::{IndrnnPath, Mode, Readout};
use melgrad::selftest::indrnn_folded::{self, Case};

/// One layer and several, odd sizes, both readouts, both kernels of the recurrence, every mode, a batch smaller than the network
/// is built for, and states that lie far from 0 beside how they spread.
fn cases() -> Vec<Case> {
    let scan = |case: Case| Case { path: IndrnnPath::Scan, ..case };
    let smaller = Case { capacity: size(5, 40), ..Case::new([2, 31, 3, 20, 20]) };
    let mut cases = vec![
        Case::new([2, 7, 3, 5, 13]),
        Case { readout: Readout::Mean, ..Case::new([3, 33, 2, 5, 36]) },
        smaller,
        Case::new([1, 20, 2, 8, 40]),
        Case { mode: Mode::Evaluate, ..smaller },
        Case { mode: Mode::Recalibrate(0.5), ..Case::new([2, 9, 33, 5, 13]) },
        Case { offset: 3.0, ..Case::new([3, 64, 3, 8, 128]) },
        Case::new([2, 300, 1, 3, 2]),
    ];
    cases.extend([cases[0], cases[1], smaller, cases[6], cases[7]].map(scan));
    cases
}

#[test]
fn folded_batch_norms_agree_with_their_reference() {
    try_all(&cases(), |gpu, case| indrnn_folded::check(gpu, case, true));
}

#[test]
fn batch_norms_that_stand_by_themselves_agree_with_the_same_reference() {
    try_each([&cases()[..6], &[]], |gpu, case| indrnn_folded::check(gpu, case, false));
}

#[test]
fn a_folded_network_brings_the_same_bits_twice() {
    for case in [cases()[1], cases()[10]] {
        let bits = || {
            let outputs = indrnn_folded::run(devices()[0], case, true).unwrap();
            outputs.into_iter().map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        assert_eq!(bits(), bits(), "{case}");
    }
}
