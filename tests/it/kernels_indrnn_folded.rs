//! Plain IndRNNs, their batch norms folded into products and not, beside their reference: the two are the same network.

use crate::kernels::{devices, size, try_each};
use melgrad::gpu::Precision;
use melgrad::layers::{IndrnnPath, Mode, NormFold, Readout};
use melgrad::selftest::indrnn_folded::{self, Case};

/// One layer and several, odd sizes, both readouts, both kernels of the recurrence, every mode, a batch smaller than the network
/// is built for, and states that lie far from 0 beside how they spread.
fn cases() -> Vec<Case> {
    let scan = |case: Case| Case { path: IndrnnPath::Scan, ..case };
    let smaller = Case { capacity: size(5, 40), ..Case::new([2, 31, 3, 20, 20]) };
    let mut cases = vec![
        Case::new([2, 7, 3, 5, 13]),
        Case { readout: Readout::Mean, ..Case::new([3, 33, 3, 5, 36]) },
        smaller,
        Case::new([1, 20, 2, 8, 40]),
        Case { mode: Mode::Evaluate, ..smaller },
        Case { mode: Mode::Recalibrate(0.5), ..Case::new([2, 9, 33, 5, 13]) },
        Case { offset: 3.0, ..Case::new([3, 64, 3, 8, 128]) },
        Case::new([2, 300, 1, 3, 2]),
        // Chains enough for four groups of an invocation of the wide kernels.
        Case { capacity: size(37, 20), ..Case::new([2, 20, 33, 5, 128]) },
    ];
    cases.extend([cases[0], cases[1], smaller, cases[6], cases[7]].map(scan));
    cases
}

#[test]
fn folded_batch_norms_agree_with_their_reference() {
    try_each([&cases(), &cases()[..4]], |gpu, case| indrnn_folded::check(gpu, case, Some(NormFold::Whole)));
}

#[test]
fn states_normalised_before_what_is_folded_agree_with_the_same_reference() {
    try_each([&cases(), &cases()[..4]], |gpu, case| indrnn_folded::check(gpu, case, Some(NormFold::Affine)));
}

/// Where states lie far from 0, rounding them before they are normalised would cost as many times the digits.
#[test]
fn in_mixed_precision_what_is_folded_costs_no_digits() {
    let gpu = devices()[0].with_precision(Precision::Mixed);
    for offset in [0.0, 3.0, 10.0] {
        let case = Case { offset, ..Case::new([3, 64, 3, 8, 128]) };
        let [alone, affine, whole] =
            [None, Some(NormFold::Affine), Some(NormFold::Whole)].map(|fold| indrnn_folded::distance(&gpu, case, fold).unwrap());
        println!("biases {offset}: {alone:.1e} alone, {affine:.1e} with gamma and beta folded, {whole:.1e} with all");
        assert!(alone > 1e-5 && affine < 1.5 * alone, "biases {offset}: {affine} folded, {alone} alone");
        // What this is about is there.
        assert!(offset < 10.0 || whole > 3.0 * affine, "{whole} {affine}");
    }
}

#[test]
fn batch_norms_that_stand_by_themselves_agree_with_the_same_reference() {
    try_each([&cases()[..6], &[]], |gpu, case| indrnn_folded::check(gpu, case, None));
}

#[test]
fn a_folded_network_brings_the_same_bits_twice() {
    for (case, fold) in [(cases()[1], NormFold::Whole), (cases()[11], NormFold::Whole), (cases()[1], NormFold::Affine)] {
        let bits = || {
            let outputs = indrnn_folded::run(devices()[0], case, Some(fold)).unwrap();
            outputs.into_iter().map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        assert_eq!(bits(), bits(), "{case}");
    }
}
