//! The tiles of `bottleneck_tiled*.wgsl` and `bottleneck_matrix*.wgsl`.

use super::ProductTile;
use super::convolution_variant::Operation;
use crate::gpu::{Gpu, Precision, Shader};

/// The tiles of a group's kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BottleneckTiles {
    /// Rows and outputs of every unit.
    pub forward: ProductTile,
    /// Rows and channels of x.
    pub backward: ProductTile,
    /// Channels of x and outputs of every unit.
    pub weight: ProductTile,
}

const fn tiles(forward: [usize; 3], backward: [usize; 3], weight: [usize; 3]) -> BottleneckTiles {
    BottleneckTiles {
        forward: ProductTile::tiled(forward),
        backward: ProductTile::tiled(backward),
        weight: ProductTile::tiled(weight),
    }
}

const fn matrices(forward: [usize; 5], backward: [usize; 5], weight: [usize; 5]) -> BottleneckTiles {
    BottleneckTiles {
        forward: ProductTile::matrix(forward),
        backward: ProductTile::matrix(backward),
        weight: ProductTile::matrix(weight),
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
            let fit = |tiles: &Self| tiles.each().into_iter().all(|(operation, tile)| tile.fits(gpu, operation));
            all.extend(MATRICES.into_iter().filter(fit));
        }
        all
    }

    /// Whether they are for matrix units.
    pub fn are_matrices(&self) -> bool {
        self.forward.is_matrix()
    }

    fn each(&self) -> [(Operation, ProductTile); 3] {
        let Self { forward, backward, weight } = *self;
        [(Operation::Forward, forward), (Operation::BackwardInput, backward), (Operation::BackwardWeight, weight)]
    }

    pub(super) fn shader(&self, operation: Operation) -> Shader {
        Shader(match (self.are_matrices(), operation) {
            (false, Operation::Forward) => "bottleneck_tiled",
            (false, Operation::BackwardInput) => "bottleneck_tiled_back",
            (false, Operation::BackwardWeight) => "bottleneck_tiled_weight",
            (true, Operation::Forward) => "bottleneck_matrix",
            (true, Operation::BackwardInput) => "bottleneck_matrix_back",
            (true, Operation::BackwardWeight) => "bottleneck_matrix_weight",
        })
    }

    /// `together 128x32x4, back 64x64x4, weight 64x32x4`
    pub fn words(&self) -> String {
        let Self { forward, backward, weight } = self;
        let family = if self.are_matrices() { "matrix" } else { "together" };
        format!("{family} {forward}, back {backward}, weight {weight}")
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
                let mut constants = tile.constants();
                constants.push(("UNITS", units.into()));
                let shader = tiles.shader(operation).0;
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
                for entry in &module.entry_points {
                    let counted = [bytes as usize, entry.workgroup_size[0] as usize];
                    assert_eq!(tile.workgroup(operation), Some(counted), "{label}");
                }
            }
        }
    }
}
