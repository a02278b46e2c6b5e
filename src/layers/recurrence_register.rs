//! How the kernels of `rnn_register.wgsl`, `lstm_register.wgsl` and `gru_register.wgsl` share a product among invocations.

use super::{Cell, Direction};
use crate::gpu::{Constant, Gpu};

/// Fours of the inner dimension that the shaders write out.
const MOST_INNER: usize = 8;

/// What is tried: invocations of a workgroup at most, fours of outputs of each, and blocks of 16 weights that it keeps at
/// most. A multiprocessor of NVIDIA's has 65,536 registers, of which one of 256 invocations gets 255, of 512 128; what a
/// step needs besides its weights takes 40 to 60.
type Setting = [usize; 3];

fn settings(cell: Cell, direction: Direction) -> &'static [Setting] {
    match (cell, direction) {
        (Cell::RnnTanh | Cell::RnnRelu, _) => &[[256, 1, 12], [128, 1, 12], [512, 1, 5], [128, 2, 12]],
        (Cell::Gru, Direction::Forward) => &[[256, 3, 12], [384, 3, 9], [512, 3, 6]],
        (Cell::Gru, Direction::Backward) => &[[256, 2, 12], [256, 4, 12], [512, 2, 6]],
        (Cell::Lstm, Direction::Forward) => &[[256, 4, 12], [256, 4, 13], [256, 2, 12], [256, 2, 13], [512, 2, 5]],
        (Cell::Lstm, Direction::Backward) => &[[256, 2, 12], [256, 2, 13], [256, 4, 12], [512, 2, 5]],
    }
}

/// Who owns what of the product state times weight, all in blocks of four by four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterLayout {
    hidden: usize,
    /// Of the product: its inner dimension and its outputs.
    inputs: usize,
    outputs: usize,
    /// Of an invocation.
    inner: usize,
    wide: usize,
    /// Blocks of an invocation that are read in every step.
    streamed: usize,
    /// Invocations side by side along both.
    splits: usize,
    columns: usize,
}

impl RegisterLayout {
    /// Those that take `hidden` units and fit the adapter, each once.
    pub(super) fn available(gpu: &Gpu, cell: Cell, hidden: usize, direction: Direction) -> Vec<Self> {
        let (bytes, invocations) = (gpu.summary().workgroup_bytes as usize, gpu.summary().workgroup_invocations as usize);
        let mut layouts: Vec<Self> = Vec::new();
        for &setting in settings(cell, direction) {
            let layout = Self::new(cell, hidden, direction, setting);
            let fits = |layout: &Self| layout.bytes() <= bytes && layout.invocations() <= invocations;
            layouts.extend(layout.filter(|layout| fits(layout) && !layouts.contains(layout)));
        }
        layouts
    }

    fn new(cell: Cell, hidden: usize, direction: Direction, [invocations, wide, kept]: Setting) -> Option<Self> {
        if !hidden.is_multiple_of(4) {
            return None;
        }
        let (inputs, outputs) = match direction {
            Direction::Forward => (hidden / 4, cell.gates() * hidden / 4),
            Direction::Backward => (cell.gates() * hidden / 4, hidden / 4),
        };
        let columns = outputs.div_ceil(wide);
        let inner = inputs.div_ceil((invocations / columns).max(1));
        let splits = inputs.div_ceil(inner);
        let streamed = (inner * wide).saturating_sub(kept);
        let layout = Self { hidden, inputs, outputs, inner, wide, streamed, splits, columns };
        // Every unit has an invocation that finishes it.
        let owned = (hidden..=invocations).contains(&layout.invocations());
        (owned && inner <= MOST_INNER && streamed <= inner && streamed < inner * wide).then_some(layout)
    }

    /// Of a workgroup.
    fn invocations(&self) -> usize {
        self.splits * self.columns
    }

    /// Workgroup memory.
    fn bytes(&self) -> usize {
        16 * self.splits * (self.wide * self.columns + self.inner)
    }

    /// Turns of an invocation's loops in a step, at most.
    pub(super) fn turns(&self) -> usize {
        self.inner * self.wide + 2 * self.wide + 4 * (self.splits / 4 + 4) + 1
    }

    pub(super) fn constants(&self) -> Vec<(&'static str, Constant)> {
        let Self { hidden, inputs, outputs, inner, wide, streamed, splits, columns } = *self;
        let names = ["HIDDEN", "INPUTS", "OUTPUTS", "INNER", "WIDE", "STREAMED", "SPLITS", "COLUMNS"];
        let values = [hidden, inputs, outputs, inner, wide, streamed, splits, columns];
        names.into_iter().zip(values.map(Constant::from)).collect()
    }
}

/// As `8 x 32 invocations of 4 x 3 blocks, 1 streamed`: the inner dimension before the outputs.
impl std::fmt::Display for RegisterLayout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { splits, columns, inner, wide, streamed, .. } = self;
        write!(f, "{splits} x {columns} invocations of {inner} x {wide} blocks, {streamed} streamed")
    }
}
