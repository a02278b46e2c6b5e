//! What a workgroup of a product's kernels owns, tiled over invocations or in matrices of subgroups.

use super::ConvolutionShape;
use super::convolution_matrix::MatrixTile;
use super::convolution_variant::Operation;
use crate::gpu::{Constant, Gpu};

/// Rows and columns of a workgroup, and how it shares them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProductTile(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tiled([usize; 3]),
    Matrix(MatrixTile),
}

/// Of products that have but one tap.
const ONE: ConvolutionShape = ConvolutionShape { kernel: [1, 1], inputs: 0, outputs: 0, mel: 1 };

impl ProductTile {
    /// Rows and columns, and vectors of columns of an invocation.
    pub const fn tiled(sizes: [usize; 3]) -> Self {
        Self(Kind::Tiled(sizes))
    }

    /// For matrix units: rows and columns, numbers of the inner dimension between two barriers, and a subgroup's matrices along both.
    pub const fn matrix(sizes: [usize; 5]) -> Self {
        Self(Kind::Matrix(MatrixTile::new(sizes)))
    }

    /// Whether it is for matrix units.
    pub fn is_matrix(self) -> bool {
        matches!(self.0, Kind::Matrix(_))
    }

    /// Rows: of the product, or channels of x for a weight's gradient.
    pub(super) fn rows(self) -> usize {
        match self.0 {
            Kind::Tiled([rows, ..]) => rows,
            Kind::Matrix(tile) => tile.rows,
        }
    }

    pub(super) fn columns(self) -> usize {
        match self.0 {
            Kind::Tiled([_, columns, _]) => columns,
            Kind::Matrix(tile) => tile.columns,
        }
    }

    pub(super) fn constants(self) -> Vec<(&'static str, Constant)> {
        match self.0 {
            Kind::Tiled([rows, columns, wide]) => {
                vec![("ROWS", rows.into()), ("COLUMNS", columns.into()), ("WIDE", wide.into())]
            }
            Kind::Matrix(tile) => tile.sizes().to_vec(),
        }
    }

    /// Whether the adapter has workgroups of it, if it is for matrix units.
    pub(super) fn fits(self, gpu: &Gpu, operation: Operation) -> bool {
        match self.0 {
            Kind::Tiled(_) => true,
            Kind::Matrix(tile) => tile.fits(gpu.summary(), operation, ONE),
        }
    }

    /// Bytes of workgroup memory and invocations of one for matrix units.
    #[cfg(test)]
    pub(super) fn workgroup(self, operation: Operation) -> Option<[usize; 2]> {
        match self.0 {
            Kind::Tiled(_) => None,
            Kind::Matrix(tile) => Some([tile.workgroup_bytes(operation, ONE), tile.threads(operation, ONE)]),
        }
    }
}

/// As `128x32x4`, or `128x32 by 16, 32x32` in matrices.
impl std::fmt::Display for ProductTile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Kind::Tiled([rows, columns, wide]) => write!(f, "{rows}x{columns}x{}", 4 * wide),
            Kind::Matrix(tile) => f.write_str(&tile.words()),
        }
    }
}
