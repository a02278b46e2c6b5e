//! The recurrent kernels beside their `f64` references, as module `kernels` does it; and cut in time, which changes no bit.

use crate::kernels::{devices, size, try_each};
use melgrad::gpu::Precision;
use melgrad::layers::{Cell, RecurrenceVariant};
use melgrad::selftest::recurrent::{self, Case, OUTPUTS};

/// Odd sizes of time, batch and width, more units than a workgroup has invocations, batches smaller than the layer is
/// built for, inputs that drive gates to their ends, and every way of cutting. Of 647 steps some fit no dispatch of a
/// software adapter, which ends loops that turn too often.
fn cases(cell: Cell) -> Vec<Case> {
    let plain = |shape| Case::new(cell, shape);
    vec![
        Case { capacity: size(5, 9), ..plain([7, 3, 13]) },
        Case { steps: 1, ..plain([7, 3, 13]) },
        plain([1, 1, 1]),
        plain([2, 3, 1]),
        plain([647, 1, 1]),
        Case { steps: 20, ..plain([64, 3, 13]) },
        Case { magnitude: 100.0, ..plain([64, 3, 13]) },
        plain([1, 32, 13]),
        plain([7, 32, 13]),
        Case { capacity: size(32, 8), ..plain([7, 3, 13]) },
        plain([2, 3, 130]),
        Case { capacity: size(32, 70), inputs: 128, ..plain([64, 9, 130]) },
        Case { steps: 1, ..plain([3, 3, 130]) },
        plain([647, 2, 13]),
        plain([7, 2, 300]),
        Case { steps: 1, ..plain([3, 2, 300]) },
    ]
}

/// Drivers take seconds for each width and each number of rows that these are compiled for: as few of both as have all of
/// [`cases`].
fn cases_of_subgroups(cell: Cell) -> Vec<Case> {
    let odd = |shape| Case { capacity: size(5, 70), ..Case::new(cell, shape) };
    let full = |shape| Case { capacity: size(32, 70), ..Case::new(cell, shape) };
    let plain = |shape| Case::new(cell, shape);
    vec![
        odd([7, 3, 13]),
        Case { steps: 1, ..odd([7, 3, 13]) },
        plain([2, 3, 1]),
        Case { steps: 20, ..odd([64, 5, 13]) },
        Case { magnitude: 100.0, ..odd([64, 5, 13]) },
        plain([647, 3, 40]),
        Case { inputs: 128, ..full([64, 9, 130]) },
        Case { steps: 1, ..full([3, 32, 130]) },
        plain([64, 32, 128]),
        plain([7, 2, 300]),
        Case { steps: 1, ..plain([3, 2, 300]) },
    ]
}

/// The variants that take every width: the plain one, or that of subgroups where the adapter has them.
fn try_variants(cell: Cell, subgroups: bool) {
    // A width that no other variant takes.
    let mut pairs = RecurrenceVariant::pairs(devices()[0], cell, 1);
    pairs.retain(|[variant, _]| variant.is_subgroup() == subgroups);
    if pairs.is_empty() {
        println!("{} has no subgroups for it", devices()[0].summary().name);
    }
    for [variant, _] in pairs {
        let (mut unchecked, checked) = if subgroups { (cases_of_subgroups(cell), 2) } else { (cases(cell), 5) };
        let checked = unchecked[..checked].to_vec();
        // Its kernels are those of the tangent but for a line.
        if cell == Cell::RnnRelu {
            unchecked.truncate(5);
        }
        try_each([&unchecked, &checked], |gpu, case| recurrent::check(gpu, [variant; 2], case));
    }
}

/// The wide kernels by name: a pair of units alone, widths that fill no block and no four blocks of 16, one that is all
/// blocks, and those whose weights uniform buffers do not hold.
fn try_wide(cell: Cell) {
    let gpu = devices()[0];
    let summary = gpu.summary();
    if !summary.loads_in_pairs() || summary.subgroup_sizes != [8, 8] {
        println!("{}: not made for this adapter", RecurrenceVariant::Wide.name(cell));
        return;
    }
    for hidden in [2, 40] {
        assert_eq!(RecurrenceVariant::choose(gpu, cell, size(32, 647), hidden), [RecurrenceVariant::Wide; 2], "{hidden}");
    }
    let plain = |shape| Case::new(cell, shape);
    let cases = [
        plain([2, 3, 2]),
        plain([1, 1, 2]),
        Case { capacity: size(5, 9), ..plain([7, 3, 20]) },
        Case { steps: 1, ..plain([7, 3, 20]) },
        plain([647, 1, 20]),
        Case { magnitude: 100.0, ..plain([64, 3, 40]) },
        plain([647, 32, 40]),
        Case { steps: 20, ..plain([64, 13, 40]) },
        Case { capacity: size(40, 70), inputs: 128, ..plain([64, 9, 130]) },
        Case { steps: 1, ..plain([3, 3, 130]) },
        plain([64, 32, 128]),
        plain([647, 3, 128]),
        Case { capacity: size(34, 8), ..plain([7, 27, 300]) },
        Case { steps: 1, ..plain([3, 2, 300]) },
    ];
    try_each([&cases, &cases[..3]], |gpu, case| recurrent::check(gpu, [RecurrenceVariant::Wide; 2], case));
}

/// The variants that take some widths only: a narrow one, one that no layout divides, and the one that they are made for, by
/// all layouts.
fn try_registers(cell: Cell) {
    let plain = |shape| Case::new(cell, shape);
    let narrow =
        [Case { capacity: size(5, 9), ..plain([7, 3, 20]) }, Case { steps: 1, ..plain([7, 3, 20]) }, plain([647, 1, 20])];
    let odd = [Case { steps: 20, magnitude: 100.0, ..plain([64, 3, 100]) }, plain([1, 13, 100])];
    let wide =
        [Case { steps: 3, ..plain([7, 2, 128]) }, Case { capacity: size(96, 4), ..plain([2, 40, 128]) }, plain([1, 256, 128])];
    // Drivers take a second to compile one.
    let layouts = if cell == Cell::RnnRelu { 1 } else { usize::MAX };
    for (cases, checked, layouts) in [(&narrow[..], 1, 1), (&odd[..], 0, 1), (&wide[..], 0, layouts)] {
        let pairs = RecurrenceVariant::pairs(devices()[0], cell, cases[0].hidden);
        for variants in pairs.into_iter().filter(|pair| pair[1].is_register()).take(layouts) {
            println!("forward {}; backward {}:", variants[0], variants[1]);
            try_each([cases, &cases[..checked]], |gpu, case| recurrent::check(gpu, variants, case));
        }
    }
}

#[test]
fn plain_recurrences_of_the_rnn_agree_with_their_reference() {
    try_variants(Cell::RnnTanh, false);
    try_variants(Cell::RnnRelu, false);
}

#[test]
fn the_plain_lstm_agrees_with_its_reference() {
    try_variants(Cell::Lstm, false);
}

#[test]
fn the_plain_gru_agrees_with_its_reference() {
    try_variants(Cell::Gru, false);
}

#[test]
fn rnns_by_subgroups_agree_with_their_reference() {
    try_variants(Cell::RnnTanh, true);
    try_variants(Cell::RnnRelu, true);
}

#[test]
fn the_lstm_by_subgroups_agrees_with_its_reference() {
    try_variants(Cell::Lstm, true);
}

#[test]
fn the_gru_by_subgroups_agrees_with_its_reference() {
    try_variants(Cell::Gru, true);
}

#[test]
fn wide_recurrences_of_the_rnn_agree_with_their_reference() {
    try_wide(Cell::RnnTanh);
    try_wide(Cell::RnnRelu);
}

#[test]
fn the_wide_lstm_agrees_with_its_reference() {
    try_wide(Cell::Lstm);
}

#[test]
fn the_wide_gru_agrees_with_its_reference() {
    try_wide(Cell::Gru);
}

#[test]
fn the_rnn_with_its_weight_on_chip_agrees_with_its_reference() {
    try_registers(Cell::RnnTanh);
    try_registers(Cell::RnnRelu);
}

#[test]
fn the_lstm_with_its_weight_on_chip_agrees_with_its_reference() {
    try_registers(Cell::Lstm);
}

#[test]
fn the_gru_with_its_weight_on_chip_agrees_with_its_reference() {
    try_registers(Cell::Gru);
}

/// Those on matrix units: more sequences than a workgroup has and fewer, states that pass through storage, and several matrices of
/// everything.
#[test]
fn recurrences_on_matrix_units_agree_with_their_references() {
    for cell in [Cell::RnnTanh, Cell::RnnRelu, Cell::Lstm, Cell::Gru] {
        let plain = |shape| Case::new(cell, shape);
        let narrow = [Case { capacity: size(35, 9), ..plain([7, 19, 16]) }, Case { steps: 2, ..plain([7, 3, 16]) }];
        let hidden = if cell == Cell::Lstm { 96 } else { 48 };
        let wide = [Case { steps: 5, ..plain([12, 17, hidden]) }, plain([1, 2, hidden])];
        for cases in [narrow, wide] {
            let gpu = devices()[0].with_precision(Precision::Mixed);
            let pairs = RecurrenceVariant::pairs(&gpu, cell, cases[0].hidden);
            let pairs: Vec<_> = pairs.into_iter().filter(|pair| pair.iter().all(|variant| variant.is_matrix())).collect();
            assert!(!pairs.is_empty(), "{cell:?}: they are emulated where there are none");
            for variants in pairs.into_iter().take(if cell == Cell::RnnRelu { 1 } else { usize::MAX }) {
                println!("forward {}; backward {}:", variants[0], variants[1]);
                try_each([&cases, &[]], |gpu, case| recurrent::check(&gpu.with_precision(Precision::Mixed), variants, case));
            }
        }
    }
}

/// Where gradients fade, processors take a hundred times as long over what is left of them: kernels for them end it.
#[test]
fn gradients_that_fade_end_in_zero_where_processors_compute() {
    let gpu = devices()[0];
    for cell in [Cell::RnnTanh, Cell::Lstm, Cell::Gru] {
        let case = Case { fading: true, ..Case::new(cell, [500, 3, 40]) };
        let pairs = RecurrenceVariant::pairs(gpu, cell, 40);
        let subnormal = |variant| {
            let [_, dx, ..] = recurrent::run(gpu, [variant; 2], case).unwrap();
            assert!(dx.iter().any(|d| *d != 0.0));
            dx.iter().filter(|d| d.is_subnormal()).count()
        };
        for variant in
            pairs.iter().map(|pair| pair[0]).filter(|variant| variant.is_subgroup() || *variant == RecurrenceVariant::Wide)
        {
            try_each([&[case], &[]], |gpu, case| recurrent::check(gpu, [variant; 2], case));
            assert_eq!(subnormal(variant), 0, "{cell:?} by {variant}");
        }
        if gpu.summary().is_software() {
            assert!(subnormal(RecurrenceVariant::Plain) > 0, "this test would not see one");
        }
    }
}

#[test]
fn cutting_the_steps_changes_no_bit() {
    let gpu = devices()[0];
    for cell in [Cell::RnnTanh, Cell::Lstm, Cell::Gru] {
        let wide = RecurrenceVariant::pairs(gpu, cell, 128).into_iter().find(|pair| pair[1].is_register());
        let all = RecurrenceVariant::pairs(gpu, cell, 40).into_iter().map(|pair| (40, pair));
        let halves = gpu.with_precision(Precision::Mixed);
        let matrices = RecurrenceVariant::pairs(&halves, cell, 32).into_iter().find(|pair| pair[1].is_matrix());
        let of_floats = all.chain(wide.map(|pair| (128, pair))).map(|(hidden, pair)| (gpu, hidden, pair));
        for (gpu, hidden, variants) in of_floats.chain(matrices.map(|pair| (&halves, 32, pair))) {
            let bits = |steps| {
                let case = Case { steps, capacity: size(3, 20), ..Case::new(cell, [19, 3, hidden]) };
                recurrent::run(gpu, variants, case)
                    .unwrap()
                    .map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
            };
            let whole = bits(usize::MAX);
            for steps in [1, 7, 18] {
                for (name, (cut, whole)) in OUTPUTS.iter().zip(bits(steps).iter().zip(&whole)) {
                    let [forward, backward] = variants;
                    assert_eq!(cut, whole, "{name} of {cell:?}, {hidden} units, {steps} steps a dispatch: {forward}; {backward}");
                }
            }
        }
    }
}
