//! The tiles of `convolution_matrix.wgsl` and `convolution_matrix_weight.wgsl`: what a workgroup of them owns and takes.

use super::ConvolutionShape;
use super::convolution_variant::Operation;
use crate::gpu::{AdapterSummary, Constant};

/// Rows and columns of a matrix that a subgroup multiplies at once.
const SIDE: usize = 16;
/// Invocations of a subgroup.
const LANES: usize = 32;

/// What a workgroup owns, in numbers and in matrices of its subgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MatrixTile {
    /// Rows of the product; of the weight's gradient, inputs of a tap.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Numbers of the inner dimension between two barriers: channels, or pixels for the weight's gradient.
    pub(super) step: usize,
    /// Matrices of a subgroup.
    down: usize,
    wide: usize,
}

impl MatrixTile {
    pub(super) const fn new([rows, columns, step, down, wide]: [usize; 5]) -> Self {
        Self { rows, columns, step, down, wide }
    }

    /// Taps along mel that are windows of the same rows in workgroup memory: all of them if those lie within a line.
    fn together(&self, operation: Operation, shape: ConvolutionShape) -> usize {
        let line = if operation == Operation::BackwardWeight { self.step } else { self.rows };
        if shape.mel.is_multiple_of(line) { shape.kernel[1] } else { 1 }
    }

    /// Groups of taps, each read by itself.
    pub(super) fn groups(&self, operation: Operation, shape: ConvolutionShape) -> usize {
        shape.kernel[0] * shape.kernel[1] / self.together(operation, shape)
    }

    fn subgroups(&self, operation: Operation, shape: ConvolutionShape) -> usize {
        let subgroups = self.rows / (SIDE * self.down) * (self.columns / (SIDE * self.wide));
        if operation == Operation::BackwardWeight { subgroups * self.together(operation, shape) } else { subgroups }
    }

    pub(super) fn threads(&self, operation: Operation, shape: ConvolutionShape) -> usize {
        LANES * self.subgroups(operation, shape)
    }

    /// Bytes of workgroup memory: two buffers of f16 for each operand, a row padded by 8, and the f32 results of a row of
    /// matrices of each subgroup.
    pub(super) fn workgroup_bytes(&self, operation: Operation, shape: ConvolutionShape) -> usize {
        let Self { rows, columns, step, wide, .. } = *self;
        let together = self.together(operation, shape);
        let operands = match operation {
            Operation::Forward => (rows + together - 1) * (step + 8) + together * step * (columns + 8),
            Operation::BackwardInput => (rows + together - 1 + together * columns) * (step + 8),
            Operation::BackwardWeight => (step + together - 1) * (rows + 8) + step * (columns + 8),
        };
        2 * 2 * operands + 4 * self.subgroups(operation, shape) * SIDE * (SIDE * wide + 8)
    }

    /// Whether the adapter has a workgroup of it.
    pub(super) fn fits(&self, adapter: &AdapterSummary, operation: Operation, shape: ConvolutionShape) -> bool {
        self.workgroup_bytes(operation, shape) <= adapter.workgroup_bytes as usize
            && self.threads(operation, shape) <= adapter.workgroup_invocations as usize
    }

    /// Of kernels whose products have but one tap.
    pub(super) fn sizes(&self) -> [(&'static str, Constant); 5] {
        let Self { rows, columns, step, down, wide } = *self;
        [("ROWS", rows), ("COLUMNS", columns), ("STEP", step), ("DOWN", down), ("WIDE", wide)]
            .map(|(name, size)| (name, size.into()))
    }

    pub(super) fn constants(&self, operation: Operation, shape: ConvolutionShape) -> Vec<(&'static str, Constant)> {
        [&self.sizes()[..], &[("TOGETHER", self.together(operation, shape).into())]].concat()
    }

    /// `128x32 by 16, 32x32`
    pub(super) fn words(&self) -> String {
        let Self { rows, columns, step, down, wide } = *self;
        format!("{rows}x{columns} by {step}, {}x{}", SIDE * down, SIDE * wide)
    }
}
