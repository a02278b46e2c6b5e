//! How the kernels of `rnn_matrix.wgsl`, `lstm_matrix.wgsl` and `gru_matrix.wgsl` share a product among subgroups.

use super::{Cell, Direction};
use crate::gpu::{Constant, Dispatch, Element, Gpu, GpuError, Grid, Pass, Precision, Shader, Tensor};

const PACK: Shader = Shader("pack_halves");
/// Rows and columns of a matrix: a workgroup owns as many sequences.
pub(super) const SIDE: usize = 16;
/// Invocations of a subgroup.
const LANES: usize = 32;
/// Subgroups of a workgroup, at most, that are tried.
const SUBGROUPS: [usize; 3] = [16, 8, 4];
/// Registers of a multiprocessor of NVIDIA's, the most that an invocation gets, and what it takes beside its matrices.
const REGISTERS: usize = 65_536;
const MOST_REGISTERS: usize = 255;
const OTHER_REGISTERS: usize = 48;

/// Who owns what of the product state times weight, all in matrices of 16 by 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatrixLayout {
    hidden: usize,
    /// Of a subgroup: along the inner dimension and the outputs.
    inner: usize,
    wide: usize,
    /// Subgroups side by side along both.
    splits: usize,
    across: usize,
}

impl MatrixLayout {
    /// Those that take `hidden` units, where the handle's precision and the adapter allow them, each once.
    pub(super) fn available(gpu: &Gpu, cell: Cell, hidden: usize, direction: Direction) -> Vec<Self> {
        if gpu.precision() != Precision::Mixed || !gpu.has_matrix_units() || !hidden.is_multiple_of(SIDE) {
            return Vec::new();
        }
        let (bytes, invocations) = (gpu.summary().workgroup_bytes as usize, gpu.summary().workgroup_invocations as usize);
        let mut layouts: Vec<Self> = Vec::new();
        for most in SUBGROUPS {
            let layout = Self::new(cell, hidden, direction, most);
            let fits = layout.bytes() <= bytes && layout.invocations() <= invocations && layout.fits_registers();
            if fits && !layouts.contains(&layout) {
                layouts.push(layout);
            }
        }
        layouts
    }

    fn new(cell: Cell, hidden: usize, direction: Direction, subgroups: usize) -> Self {
        let (units, gates) = (hidden / SIDE, cell.gates() * hidden / SIDE);
        let (inputs, outputs) = if direction == Direction::Forward { (units, gates) } else { (gates, units) };
        let divisor = |of: usize, most: usize| (1..=most.max(1)).rev().find(|count| of.is_multiple_of(*count)).unwrap_or(1);
        let across = divisor(outputs, subgroups);
        let splits = divisor(inputs, subgroups / across);
        Self { hidden, inner: inputs / splits, wide: outputs / across, splits, across }
    }

    fn invocations(&self) -> usize {
        LANES * self.splits * self.across
    }

    /// A matrix of halves takes 4 registers of each invocation, one of sums 8.
    fn fits_registers(&self) -> bool {
        let room = (REGISTERS / self.invocations()).min(MOST_REGISTERS);
        4 * self.inner * self.wide + 8 * self.wide + OTHER_REGISTERS <= room
    }

    /// Workgroup memory: rows of halves of the state and of floats of each split's results, padded by two vectors.
    fn bytes(&self) -> usize {
        let Self { inner, wide, splits, across, .. } = *self;
        SIDE * (8 * (4 * inner * splits + 2) + 16 * splits * (4 * wide * across + 2))
    }

    /// Turns of an invocation's loops in a step, at most; emulated matrix units have their own.
    pub(super) fn turns(&self) -> usize {
        let own = (SIDE * self.hidden / 4).div_ceil(self.invocations());
        self.inner * self.wide * (1 + SIDE * (1 + 8)) + 10 * self.wide + own * (4 * self.splits + 16)
    }

    pub(super) fn constants(&self) -> Vec<(&'static str, Constant)> {
        let Self { hidden, inner, wide, splits, across } = *self;
        let names = ["HIDDEN", "INNER", "WIDE", "SPLITS", "ACROSS"];
        names.into_iter().zip([hidden, inner, wide, splits, across].map(Constant::from)).collect()
    }
}

/// As `2 x 8 subgroups of 4 x 1 matrices`: the inner dimension before the outputs.
impl std::fmt::Display for MatrixLayout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { inner, wide, splits, across, .. } = self;
        write!(f, "{splits} x {across} subgroups of {inner} x {wide} matrices")
    }
}

/// Weights as halves, as the kernels read them.
pub(super) struct PackedHalves {
    /// One after the other.
    pub(super) weights: Tensor,
    kernel: Dispatch,
    count: usize,
    /// Of a matrix.
    elements: usize,
}

impl PackedHalves {
    /// Of `count` matrices of `elements`, each `apart` elements from the next.
    pub(super) fn new(gpu: &Gpu, from: &Tensor, count: usize, elements: usize, apart: usize) -> Result<Self, GpuError> {
        let weights = gpu.tensor("weights as halves", Element::F16, &[count * elements])?;
        let constants = [("COUNT", (elements / 4).into()), ("LEVEL_WEIGHT", (apart / 4).into())];
        let kernel = PACK.dispatch(gpu, "pack", &constants, &[("x", from), ("y", &weights)])?;
        Ok(Self { weights, kernel, count, elements })
    }

    pub(super) fn run(&self, pass: &mut Pass<'_>) {
        let Grid([x, y, _]) = Grid::threads(self.elements / 4, 64);
        pass.run(&self.kernel, Grid([x, y, self.count as u32]), &[], self.count * self.elements);
    }
}
