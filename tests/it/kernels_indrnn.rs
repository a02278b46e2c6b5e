//! The two ways of the IndRNN recurrence beside their reference, and beside each other.

use crate::kernels::{devices, try_all};
use melgrad::layers::{IndrnnPath, Size};
use melgrad::selftest::indrnn::{Case, Weights, check, run};

const WEIGHTS: [Weights; 5] = [Weights::Positive, Weights::Negative, Weights::Zero, Weights::Mixed, Weights::Underflowing];

/// Odd shapes, and a batch smaller than the layer is built for.
fn cases(path: IndrnnPath) -> Vec<Case> {
    let case = |frames, batch, hidden, weights| Case { path, ..Case::new(frames, batch, hidden, weights) };
    let mut cases = Vec::new();
    for weights in WEIGHTS {
        let odd = case(64, 3, 13, weights);
        cases.extend([
            case(1, 1, 1, weights),
            case(2, 3, 13, weights),
            case(7, 32, 13, weights),
            case(64, 3, 128, weights),
            case(33, 5, 24, weights),
            case(647, 3, 13, weights),
            Case { magnitude: 1e10, ..case(647, 1, 13, weights) },
            Case { capacity: Size { batch: 5, frames: 70 }, ..odd },
            Case { capacity: Size { batch: 5, frames: 70 }, ..case(64, 3, 40, weights) },
            // So few frames that most chunks are empty.
            Case { capacity: Size { batch: 5, frames: 700 }, ..case(7, 3, 13, weights) },
        ]);
    }
    cases.extend([case(647, 32, 128, Weights::Mixed), case(647, 1, 128, Weights::Positive)]);
    cases
}

#[test]
fn the_indrnn_recurrence_agrees_with_its_reference() {
    let mut cases = cases(IndrnnPath::Sequential);
    // Longer than one dispatch may be: some adapters leave a loop after 65,535 turns.
    cases.extend([20_000, 70_000].map(|frames| Case::new(frames, 1, 3, Weights::Mixed)));
    // Chains enough for several groups of an invocation, which a smaller batch leaves without work.
    let groups = Case { capacity: Size { batch: 37, frames: 9 }, ..Case::new(9, 37, 56, Weights::Mixed) };
    cases.extend([groups, Case { capacity: Size { batch: 37, frames: 9 }, ..Case::new(7, 5, 128, Weights::Mixed) }]);
    try_all(&cases, check);
}

#[test]
fn the_indrnn_scan_agrees_with_the_sequential_reference() {
    let case = |frames, batch, hidden, weights| Case { path: IndrnnPath::Scan, ..Case::new(frames, batch, hidden, weights) };
    let mut cases = cases(IndrnnPath::Scan);
    for weights in WEIGHTS {
        cases.extend([case(5000, 1, 7, weights), case(20_000, 1, 1, weights)]);
        cases.push(Case { magnitude: 1e10, ..case(5000, 1, 3, weights) });
    }
    try_all(&cases, check);
}

#[test]
fn a_cut_sequence_has_the_bits_of_a_whole_one() {
    for (weights, hidden) in [(Weights::Positive, 13), (Weights::Mixed, 13), (Weights::Mixed, 16), (Weights::Mixed, 688)] {
        let whole = Case::new(647, 3, hidden, weights);
        let expected = bits(whole);
        assert!(bits(Case { path: IndrnnPath::Scan, ..whole }) != expected, "this test would not see a difference");
        for most_steps in [1, 100, 646] {
            let cut = bits(Case { most_steps: Some(most_steps), ..whole });
            for (place, name) in ["h", "da", "du"].into_iter().enumerate() {
                assert!(cut[place] == expected[place], "{name} of {most_steps} steps at a time, {weights:?} x {hidden}");
            }
        }
    }
}

/// Where a gradient fades, processors take a hundred times as long over what is left of it: kernels for them end it.
#[test]
fn a_gradient_that_fades_ends_in_zero_where_processors_compute() {
    let gpu = devices()[0];
    let case = Case { fading: true, ..Case::new(700, 3, 40, Weights::Mixed) };
    try_all(&[case], check);
    let da = run(gpu, case).unwrap().da;
    let subnormal = da.iter().filter(|d| d.is_subnormal()).count();
    println!("{subnormal} of {} are subnormal", da.len());
    if gpu.summary().is_software() && gpu.summary().loads_in_pairs() {
        assert_eq!(subnormal, 0);
        let plain = run(gpu, Case { hidden: 13, ..case }).unwrap().da;
        assert!(plain.iter().any(|d| d.is_subnormal()), "this test would not see one");
    }
}

/// h, da and du.
fn bits(case: Case) -> [Vec<u32>; 3] {
    let run = run(devices()[0], case).unwrap();
    [run.h, run.da, run.du].map(|values| values.into_iter().map(f32::to_bits).collect())
}
