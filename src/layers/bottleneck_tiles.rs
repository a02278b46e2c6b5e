//! The tiles of `bottleneck_tiled*.wgsl` and `bottleneck_matrix*.wgsl`: what a workgroup of them owns.

use super::ConvolutionShape;
use super::convolution_matrix::MatrixTile;
use super::convolution_variant::Operation;
use crate::gpu::{Constant, Gpu, Precision, Shader};

/// What a workgroup owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BottleneckTile(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Rows and columns, and vectors of columns of an invocation.
    Tiled([usize; 3]),
    Matrix(MatrixTile),
}

/// Of products that have but one tap.
const ONE: ConvolutionShape = ConvolutionShape { kernel: [1, 1], inputs: 0, outputs: 0, mel: 1 };

impl BottleneckTile {
    /// Rows: of the product, or channels of x for the weight's gradient.
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

    pub(super) fn constants(self, operation: Operation) -> Vec<(&'static str, Constant)> {
        match self.0 {
            Kind::Tiled([rows, columns, wide]) => {
                vec![("ROWS", rows.into()), ("COLUMNS", columns.into()), ("WIDE", wide.into())]
            }
            Kind::Matrix(tile) => {
                let mut constants = tile.constants(operation, ONE);
                // There is but one tap.
                constants.retain(|(name, _)| *name != "TOGETHER");
                constants
            }
        }
    }

    pub(super) fn shader(self, operation: Operation) -> Shader {
        Shader(match (self.0, operation) {
            (Kind::Tiled(_), Operation::Forward) => "bottleneck_tiled",
            (Kind::Tiled(_), Operation::BackwardInput) => "bottleneck_tiled_back",
            (Kind::Tiled(_), Operation::BackwardWeight) => "bottleneck_tiled_weight",
            (Kind::Matrix(_), Operation::Forward) => "bottleneck_matrix",
            (Kind::Matrix(_), Operation::BackwardInput) => "bottleneck_matrix_back",
            (Kind::Matrix(_), Operation::BackwardWeight) => "bottleneck_matrix_weight",
        })
    }

    /// `128x32x4`, or `128x32 by 16, 32x32`
    fn words(self) -> String {
        match self.0 {
            Kind::Tiled([rows, columns, wide]) => format!("{rows}x{columns}x{}", 4 * wide),
            Kind::Matrix(tile) => tile.words(),
        }
    }
}

/// The tiles of a group's kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BottleneckTiles {
    /// Rows and outputs of every unit.
    pub forward: BottleneckTile,
    /// Rows and channels of x.
    pub backward: BottleneckTile,
    /// Channels of x and outputs of every unit.
    pub weight: BottleneckTile,
}

const fn tiles(forward: [usize; 3], backward: [usize; 3], weight: [usize; 3]) -> BottleneckTiles {
    let [forward, backward, weight] = [forward, backward, weight];
    BottleneckTiles {
        forward: BottleneckTile(Kind::Tiled(forward)),
        backward: BottleneckTile(Kind::Tiled(backward)),
        weight: BottleneckTile(Kind::Tiled(weight)),
    }
}

const fn matrices(forward: [usize; 5], backward: [usize; 5], weight: [usize; 5]) -> BottleneckTiles {
    BottleneckTiles {
        forward: BottleneckTile(Kind::Matrix(MatrixTile::new(forward))),
        backward: BottleneckTile(Kind::Matrix(MatrixTile::new(backward))),
        weight: BottleneckTile(Kind::Matrix(MatrixTile::new(weight))),
    }
}

/// Those for matrix units.
const MATRICES: [BottleneckTiles; 3] = [
    matrices([128, 32, 16, 2, 2], [128, 32, 16, 2, 2], [64, 32, 32, 1, 2]),
    matrices([128, 32, 32, 2, 2], [64, 64, 32, 2, 2], [128, 32, 32, 2, 2]),
    matrices([64, 32, 32, 1, 2], [64, 128, 16, 2, 2], [32, 32, 64, 1, 2]),
];

impl BottleneckTiles {
    /// Those that any adapter runs and that are measured, the likeliest first.
    pub const ALL: [Self; 4] = [
        tiles([128, 32, 1], [128, 32, 1], [64, 32, 1]),
        tiles([64, 32, 1], [64, 64, 1], [128, 32, 1]),
        tiles([128, 32, 2], [128, 64, 2], [32, 32, 1]),
        tiles([64, 32, 2], [64, 128, 1], [128, 32, 2]),
    ];

    /// The same, and in mixed precision those for matrix units, if the adapter has them.
    pub fn available(gpu: &Gpu) -> Vec<Self> {
        let mut all = Self::ALL.to_vec();
        if gpu.precision() == Precision::Mixed && gpu.has_matrix_units() {
            all.extend(MATRICES.into_iter().filter(|tiles| tiles.fit(gpu)));
        }
        all
    }

    /// Whether they are for matrix units.
    pub fn are_matrices(&self) -> bool {
        matches!(self.forward.0, Kind::Matrix(_))
    }

    fn each(&self) -> [(Operation, BottleneckTile); 3] {
        let Self { forward, backward, weight } = *self;
        [(Operation::Forward, forward), (Operation::BackwardInput, backward), (Operation::BackwardWeight, weight)]
    }

    /// Whether the adapter has workgroups of them.
    fn fit(&self, gpu: &Gpu) -> bool {
        self.each().into_iter().all(|(operation, tile)| match tile.0 {
            Kind::Tiled(_) => true,
            Kind::Matrix(tile) => tile.fits(gpu.summary(), operation, ONE),
        })
    }

    /// `together 128x32x4, back 64x64x4, weight 64x32x4`
    pub fn words(&self) -> String {
        let Self { forward, backward, weight } = self;
        let family = if self.are_matrices() { "matrix" } else { "together" };
        format!("{family} {}, back {}, weight {}", forward.words(), backward.words(), weight.words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Storage, specialise_for};
    use naga::valid::{Capabilities, ValidationFlags, Validator};

    #[test]
    fn matrices_make_valid_shaders_of_the_size_that_the_host_counts() {
        for (tiles, units) in MATRICES.iter().flat_map(|tiles| [1usize, 2, 3].map(|units| (tiles, units))) {
            for (operation, tile) in tiles.each() {
                let Kind::Matrix(matrix) = tile.0 else { panic!("a tile of matrices") };
                let mut constants = tile.constants(operation);
                constants.push(("UNITS", units.into()));
                let shader = tile.shader(operation).0;
                let text = specialise_for(shader, &constants, Precision::Mixed, Storage::Halves).unwrap();
                let label = format!("{shader}, {}", tiles.words());
                let module =
                    naga::front::wgsl::parse_str(&text).unwrap_or_else(|e| panic!("{label}: {}", e.emit_to_string(&text)));
                let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module);
                let info = info.unwrap_or_else(|e| panic!("{label}: {}", e.emit_to_string(&text)));
                naga::back::spv::write_vec(&module, &info, &naga::back::spv::Options::default(), None).unwrap();
                let shared =
                    module.global_variables.iter().filter(|(_, variable)| variable.space == naga::AddressSpace::WorkGroup);
                let bytes: u32 = shared.map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx())).sum();
                assert_eq!(matrix.workgroup_bytes(operation, ONE), bytes as usize, "{label}");
                for entry in &module.entry_points {
                    assert_eq!(matrix.threads(operation, ONE), entry.workgroup_size[0] as usize, "{label}");
                }
            }
        }
    }
}
