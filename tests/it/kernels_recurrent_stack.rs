//! Stacks of recurrent levels as wavefronts beside their `f64` references, as module `kernels` does it; and beside other orders
//! of the same dispatches, which change no bit.

use crate::kernels::{devices, size, try_each};
use melgrad::gpu::Precision;
use melgrad::layers::{Cell, ProductTile, RecurrenceVariant, StackOrder, WavefrontPlan};
use melgrad::selftest::recurrent_stack::{self, Case};

const TILES: [ProductTile; 2] = [ProductTile::tiled([64, 64, 1]), ProductTile::tiled([128, 64, 2])];

/// The first layout of each direction that keeps weights on chip.
fn registers(cell: Cell, hidden: usize) -> [RecurrenceVariant; 2] {
    let pairs = RecurrenceVariant::pairs(devices()[0], cell, hidden);
    pairs.into_iter().find(|pair| pair.iter().all(|variant| variant.is_register())).unwrap()
}

fn wavefront(cell: Cell, hidden: usize, [chunks, width]: [usize; 2], tile: ProductTile) -> StackOrder {
    StackOrder::Wavefront(WavefrontPlan { variants: registers(cell, hidden), chunks, width, tile })
}

/// `[levels, frames, batch, inputs, hidden]` in chunks, so many levels at once.
fn case(cell: Cell, [levels, frames, batch, inputs, hidden]: [usize; 5], plan: [usize; 2]) -> Case {
    let order = wavefront(cell, hidden, plan, TILES[levels % 2]);
    Case { cell, order, levels, size: size(batch, frames), capacity: size(batch, frames), inputs, hidden, p: 0.0 }
}

/// One level and five, odd sizes of time and batch, widths that no tile divides, more chunks than steps, fewer levels at once
/// than there are, batches smaller than the stack is built for, and dropout.
fn cases(cell: Cell) -> Vec<Case> {
    vec![
        case(cell, [3, 7, 3, 5, 20], [4, 3]),
        Case { capacity: size(5, 19), p: 0.4, ..case(cell, [2, 13, 3, 20, 20], [3, 2]) },
        case(cell, [5, 37, 2, 7, 20], [8, 4]),
        case(cell, [1, 7, 3, 5, 20], [3, 1]),
        case(cell, [4, 3, 1, 20, 20], [16, 8]),
        Case { p: 0.2, ..case(cell, [5, 29, 3, 13, 36], [5, 2]) },
        case(cell, [2, 1, 33, 5, 36], [4, 2]),
        Case { capacity: size(9, 40), ..case(cell, [3, 33, 7, 12, 36], [1, 1]) },
    ]
}

fn try_cell(cell: Cell) {
    let mut all = cases(cell);
    // Its kernels are those of the tangent but for a line.
    if cell == Cell::RnnRelu {
        all.truncate(3);
    }
    // Drivers take seconds to compile these with runtime checks.
    try_each([&all, &all[..3]], recurrent_stack::check);
    // The same, one level after the other.
    let variants = [[RecurrenceVariant::Plain; 2], registers(cell, 20)];
    let by_levels: Vec<Case> = variants
        .iter()
        .flat_map(|&variants| all[..2].iter().map(move |case| Case { order: StackOrder::Levels(variants), ..*case }))
        .collect();
    try_each([&by_levels, &[]], recurrent_stack::check);
}

/// On matrix units, alone and where one way through time keeps floats in registers; more sequences than a workgroup has.
#[test]
fn wavefronts_on_matrix_units_agree_with_their_references() {
    let gpu = devices()[0].with_precision(Precision::Mixed);
    for cell in [Cell::RnnTanh, Cell::Lstm, Cell::Gru] {
        let pairs = RecurrenceVariant::pairs(&gpu, cell, 32);
        let of_matrices = pairs.into_iter().find(|pair| pair.iter().all(|variant| variant.is_matrix()));
        let [forward, backward] = of_matrices.expect("they are emulated where there are none");
        let [_, in_registers] = registers(cell, 32);
        let of = |variants, chunks, width, tile| StackOrder::Wavefront(WavefrontPlan { variants, chunks, width, tile });
        // A tile of two subgroups, and one that is as wide as four.
        let [narrow, wide] = [[32, 32, 16, 1, 2], [64, 64, 16, 2, 2]].map(ProductTile::matrix);
        let all = Case { order: of([forward, backward], 3, 2, narrow), ..case(cell, [3, 13, 18, 20, 32], [3, 2]) };
        let cases = [
            Case { capacity: size(19, 15), p: 0.3, ..all },
            Case { order: of([forward, in_registers], 4, 3, TILES[0]), ..all },
            Case { order: of(registers(cell, 36), 4, 3, wide), hidden: 36, ..all },
            Case { order: StackOrder::Levels([forward, backward]), ..all },
        ];
        let cases = if cell == Cell::Lstm { &cases[..] } else { &cases[..1] };
        try_each([cases, &[]], |gpu, case| recurrent_stack::check(&gpu.with_precision(Precision::Mixed), case));
    }
}

#[test]
fn wavefronts_of_the_tanh_recurrence_agree_with_their_reference() {
    try_cell(Cell::RnnTanh);
}

#[test]
fn wavefronts_of_the_relu_recurrence_agree_with_their_reference() {
    try_cell(Cell::RnnRelu);
}

#[test]
fn wavefronts_of_the_lstm_agree_with_their_reference() {
    try_cell(Cell::Lstm);
}

#[test]
fn wavefronts_of_the_gru_agree_with_their_reference() {
    try_cell(Cell::Gru);
}

#[test]
fn wavefronts_at_full_width_agree_with_their_reference() {
    let cases: Vec<Case> = [Cell::RnnTanh, Cell::Lstm, Cell::Gru]
        .into_iter()
        .map(|cell| Case { capacity: size(5, 50), ..case(cell, [3, 41, 4, 100, 128], [8, 3]) })
        .collect();
    try_each([&cases, &[]], recurrent_stack::check);
}

#[test]
fn wavefronts_in_mixed_precision_round_what_products_multiply() {
    let mixed = devices()[0].with_precision(Precision::Mixed);
    for cell in [Cell::RnnTanh, Cell::Lstm, Cell::Gru] {
        for case in &cases(cell)[..1] {
            for comparison in recurrent_stack::check(&mixed, *case).unwrap() {
                assert!(comparison.passes(), "{comparison:?}");
            }
        }
    }
}

#[test]
fn chunks_levels_at_once_and_tiles_change_no_bit_and_neither_does_a_rerun() {
    for (cell, hidden) in [(Cell::RnnTanh, 20), (Cell::Lstm, 20), (Cell::Gru, 36)] {
        let run = |plan, tile| {
            let base = Case { p: 0.3, capacity: size(4, 23), ..case(cell, [4, 19, 3, 6, hidden], plan) };
            let case = Case { order: wavefront(cell, hidden, plan, tile), ..base };
            let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            recurrent_stack::run(devices()[0], case).unwrap().into_iter().map(bits).collect::<Vec<_>>()
        };
        // In one chunk levels come one after the other.
        let whole = run([1, 1], TILES[0]);
        for plan in [[1, 1], [2, 2], [5, 4], [7, 3], [19, 4]] {
            for tile in TILES {
                assert_eq!(run(plan, tile), whole, "{cell:?}, {plan:?}, {tile:?}");
            }
        }
    }
}
