//! The kernels of the convolution family, and which of them an adapter gets.

use super::ConvolutionShape;
use super::convolution_matrix::MatrixTile;
use crate::gpu::{Constant, Element, Gpu, Grid, Precision, Shader};

/// The three things that a convolution does, each by kernels of its own choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// y from x.
    Forward,
    /// dx from dy.
    BackwardInput,
    /// The gradients of weight and bias.
    BackwardWeight,
}

impl Operation {
    pub(super) fn entry(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::BackwardInput => "backward_input",
            Self::BackwardWeight => "backward_weight",
        }
    }
}

/// The tile that a workgroup of `convolution_tiled*.wgsl` owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tile {
    rows: usize,
    columns: usize,
    /// Vectors of columns that an invocation owns.
    wide: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// `convolution.wgsl`
    Plain,
    /// `convolution_tiled.wgsl`, `convolution_tiled_back.wgsl` and `convolution_tiled_weight.wgsl`
    Tiled { product: Tile, weight: Tile },
    /// `convolution_matrix.wgsl`, `convolution_matrix_back.wgsl` and `convolution_matrix_weight.wgsl`
    Matrix { product: MatrixTile, weight: MatrixTile },
    /// `convolution_subgroup.wgsl`
    Subgroup { lanes: usize },
    /// `convolution_wide.wgsl`, `convolution_wide_back.wgsl` and `convolution_wide_weight.wgsl`
    Wide,
}

/// A way to run a convolution: its shaders, with the tiles that their workgroups own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvolutionVariant(Family);

const fn tiled(product: [usize; 3], weight: [usize; 3]) -> ConvolutionVariant {
    let [rows, columns, wide] = product;
    let product = Tile { rows, columns, wide };
    let [rows, columns, wide] = weight;
    ConvolutionVariant(Family::Tiled { product, weight: Tile { rows, columns, wide } })
}

/// Tiles of products and of weight gradients, in pairs that have nothing to do with each other.
const TILED: [ConvolutionVariant; 5] = [
    tiled([128, 32, 1], [64, 32, 1]),
    tiled([128, 32, 2], [128, 32, 1]),
    tiled([64, 64, 1], [32, 32, 1]),
    tiled([128, 64, 2], [128, 64, 2]),
    tiled([64, 32, 1], [96, 32, 1]),
];

const fn matrix(product: [usize; 5], weight: [usize; 5]) -> ConvolutionVariant {
    ConvolutionVariant(Family::Matrix { product: MatrixTile::new(product), weight: MatrixTile::new(weight) })
}

/// The same for matrix units.
const MATRIX: [ConvolutionVariant; 6] = [
    matrix([128, 32, 16, 2, 2], [32, 32, 32, 2, 2]),
    matrix([128, 32, 16, 1, 2], [32, 32, 64, 2, 2]),
    matrix([128, 32, 32, 2, 2], [32, 32, 32, 1, 2]),
    matrix([64, 32, 32, 1, 2], [96, 32, 32, 2, 2]),
    matrix([128, 64, 32, 4, 2], [64, 64, 32, 2, 2]),
    matrix([128, 128, 16, 4, 2], [128, 128, 16, 4, 2]),
];

/// Whether the kernels of `convolution_wide*.wgsl` slide a window along mel: rows of a lane lie in one frame, and the window holds
/// two for each lane at most.
fn slides(shape: ConvolutionShape) -> bool {
    shape.kernel != [1, 1] && shape.kernel[1] <= 9 && shape.mel.is_multiple_of(8)
}

/// Whether the products of `convolution_wide.wgsl` take 64 rows at a time: a tenth quicker, while a compiler takes twice as long. For
/// sequences, which have few kernels, and the largest windows, where they have enough to do.
fn takes_tall_tiles(shape: ConvolutionShape) -> bool {
    let channels = shape.inputs.min(shape.outputs);
    (shape.mel == 1 && channels >= 64) || (shape.kernel[1] > 3 && channels >= 32)
}

/// Whether `convolution_wide_weight.wgsl` has a kernel of its own for these outputs.
fn in_64s(shape: ConvolutionShape) -> bool {
    shape.kernel == [1, 1] && shape.outputs.is_multiple_of(64)
}

/// Workgroups of a weight's gradient that keep the processors of a software adapter busy.
const SOFTWARE_GROUPS: usize = 32;
/// Bytes of x and dy that stay in the cache of one of its processors.
const SOFTWARE_CACHE: usize = 1 << 20;

impl ConvolutionVariant {
    pub(super) const PLAIN: Self = Self(Family::Plain);

    /// Those that run on the adapter in the handle's precision: on a software adapter the one that it gets first, on hardware
    /// the one that others are measured against.
    pub fn available(gpu: &Gpu) -> Vec<Self> {
        let summary = gpu.summary();
        let [least, most] = summary.subgroup_sizes.map(|lanes| lanes as usize);
        let mut subgroups = Vec::new();
        if summary.subgroups && least == most && least >= 8 {
            if least == 8 && summary.loads_in_pairs() {
                subgroups.push(Self(Family::Wide));
            }
            subgroups.push(Self(Family::Subgroup { lanes: least }));
        }
        let rounds = gpu.precision() == Precision::Mixed;
        let matrix = if rounds && gpu.has_matrix_units() { &MATRIX[..] } else { &[] };
        let parts = if summary.is_software() {
            [&subgroups[..], &[Self::PLAIN], &TILED, matrix]
        } else {
            [&[Self::PLAIN], &TILED[..], matrix, &subgroups]
        };
        parts.concat()
    }

    /// Whether it runs convolutions of this shape over tensors whose channels come in eights, fours or one by one.
    pub fn takes(&self, shape: ConvolutionShape, alignment: usize) -> bool {
        match self.0 {
            Family::Plain => true,
            Family::Tiled { .. } | Family::Matrix { .. } | Family::Subgroup { .. } => alignment.is_multiple_of(4),
            Family::Wide => alignment.is_multiple_of(8) && (shape.kernel == [1, 1] || slides(shape)),
        }
    }

    /// Whether it runs over maps that are stored as halves.
    pub fn takes_halves(&self) -> bool {
        matches!(self.0, Family::Tiled { .. } | Family::Matrix { .. })
    }

    /// What stands beside it where it does not run: the plain one, or one that reads the same maps.
    pub(super) fn beside(maps: Element) -> Self {
        if maps == Element::F16 { TILED[0] } else { Self::PLAIN }
    }

    /// Whether the adapter may get kernels that run over maps stored as halves.
    pub(super) fn halves_on(gpu: &Gpu) -> bool {
        gpu.may_choose("tiled") || (gpu.may_choose("matrix") && gpu.has_matrix_units())
    }

    /// Whether the adapter's workgroups hold its tile of an operation.
    pub(super) fn fits(&self, gpu: &Gpu, operation: Operation, shape: ConvolutionShape) -> bool {
        self.matrix_tile(operation).is_none_or(|tile| tile.fits(gpu.summary(), operation, shape))
    }

    /// The name of its shader.
    pub fn name(&self) -> &'static str {
        self.shader(Operation::Forward).0
    }

    /// Its shader and, where it has them, its tiles of products and of the weight's gradient, as words.
    pub fn words(&self) -> String {
        let [product, weight] = [Operation::Forward, Operation::BackwardWeight].map(|operation| self.label(operation));
        if product == weight { product } else { format!("{product}, weight {weight}") }
    }

    /// Its name and the tile of an operation.
    pub(super) fn label(&self, operation: Operation) -> String {
        match self.0 {
            Family::Tiled { product, weight } => {
                let Tile { rows, columns, wide } = if operation == Operation::BackwardWeight { weight } else { product };
                format!("tiled {rows}x{columns}x{}", 4 * wide)
            }
            Family::Matrix { product, .. } => format!("matrix {}", self.matrix_tile(operation).unwrap_or(product).words()),
            _ => self.shader(operation).0.to_owned(),
        }
    }

    pub(super) fn shader(&self, operation: Operation) -> Shader {
        Shader(match (self.0, operation) {
            (Family::Plain, _) => "convolution",
            (Family::Tiled { .. }, Operation::BackwardWeight) => "convolution_tiled_weight",
            (Family::Tiled { .. }, Operation::BackwardInput) => "convolution_tiled_back",
            (Family::Tiled { .. }, Operation::Forward) => "convolution_tiled",
            (Family::Matrix { .. }, Operation::BackwardWeight) => "convolution_matrix_weight",
            (Family::Matrix { .. }, Operation::BackwardInput) => "convolution_matrix_back",
            (Family::Matrix { .. }, Operation::Forward) => "convolution_matrix",
            (Family::Subgroup { .. }, _) => "convolution_subgroup",
            (Family::Wide, Operation::BackwardWeight) => "convolution_wide_weight",
            (Family::Wide, Operation::BackwardInput) => "convolution_wide_back",
            (Family::Wide, Operation::Forward) => "convolution_wide",
        })
    }

    /// The constants that only its shader has.
    pub(super) fn constants(&self, operation: Operation, shape: ConvolutionShape) -> Vec<(&'static str, Constant)> {
        match self.0 {
            Family::Plain => Vec::new(),
            Family::Wide if operation == Operation::BackwardWeight => {
                let Tile { rows, columns, .. } = self.tile(operation, shape);
                vec![("ROWS", rows.into()), ("COLUMNS", columns.into())]
            }
            Family::Wide => vec![("ROWS", self.tile(operation, shape).rows.into())],
            Family::Subgroup { lanes } => vec![("LANES", lanes.into())],
            Family::Tiled { .. } => {
                let Tile { rows, columns, wide } = self.tile(operation, shape);
                vec![("ROWS", rows.into()), ("COLUMNS", columns.into()), ("WIDE", wide.into())]
            }
            // They always round.
            Family::Matrix { product, .. } => self.matrix_tile(operation).unwrap_or(product).constants(operation, shape),
        }
    }

    /// Rows and columns of a workgroup's tile of an operation.
    fn tile(&self, operation: Operation, shape: ConvolutionShape) -> Tile {
        let narrow = |rows, columns| Tile { rows, columns, wide: 1 };
        match (self.0, operation) {
            (Family::Plain, Operation::BackwardWeight) => narrow(64, 32),
            (Family::Plain, _) => narrow(128, 32),
            (Family::Tiled { weight, .. }, Operation::BackwardWeight) => weight,
            (Family::Tiled { product, .. }, _) => product,
            (Family::Matrix { weight, .. }, Operation::BackwardWeight) => narrow(weight.rows, weight.columns),
            (Family::Matrix { product, .. }, _) => narrow(product.rows, product.columns),
            (Family::Subgroup { lanes }, _) => narrow(32, 4 * lanes),
            // With all taps along mel fewer inputs.
            (Family::Wide, Operation::BackwardWeight) if slides(shape) => narrow(16, 32),
            (Family::Wide, Operation::BackwardWeight) => narrow(32, if in_64s(shape) { 64 } else { 32 }),
            (Family::Wide, _) => narrow(if takes_tall_tiles(shape) { 64 } else { 32 }, 32),
        }
    }

    fn matrix_tile(&self, operation: Operation) -> Option<MatrixTile> {
        match (self.0, operation) {
            (Family::Matrix { weight, .. }, Operation::BackwardWeight) => Some(weight),
            (Family::Matrix { product, .. }, _) => Some(product),
            _ => None,
        }
    }

    /// The entry of the weight's gradient, and what that calls dy.
    pub(super) fn weight_entry(&self, shape: ConvolutionShape) -> [&'static str; 2] {
        match self.0 {
            Family::Wide if in_64s(shape) => ["backward_weight_of_64", "dy_eights"],
            _ => [Operation::BackwardWeight.entry(), "dy"],
        }
    }

    /// Most parts of `rows` pixels that its kernel of the weight's gradient runs over.
    pub(super) fn splits(&self, shape: ConvolutionShape, rows: usize, software: bool) -> usize {
        let most = shape.splits();
        if !software || !matches!(self.0, Family::Subgroup { .. } | Family::Wide) {
            return most;
        }
        // Processors are few, and every part's sums are stored and read again: as few as keep the processors busy, with what
        // the workgroups of a part read in the cache of one.
        let Grid([columns, inputs, _]) = self.weight_grid(shape, 1);
        let bytes = size_of::<f32>() * rows * (shape.inputs + shape.outputs);
        bytes.div_ceil(SOFTWARE_CACHE).max(SOFTWARE_GROUPS.div_ceil((columns * inputs) as usize)).min(most)
    }

    /// What the pixels of a split of the weight's gradient must be a multiple of.
    pub(super) fn split_multiple(&self) -> usize {
        self.matrix_tile(Operation::BackwardWeight).map_or(16, |tile| tile.step)
    }

    /// Whether its kernels do what stands beside a product as well: forward brings the moments of y, the gradient of x is taken
    /// back through the fold, that of the bias comes along with the weight's.
    pub(super) fn is_fused(&self) -> bool {
        matches!(self.0, Family::Tiled { .. } | Family::Matrix { .. } | Family::Subgroup { .. } | Family::Wide)
    }

    /// The variant whose kernel sums up the gradient of the bias alone.
    pub(super) fn of_bias(self) -> Self {
        match self.0 {
            Family::Subgroup { .. } => self,
            Family::Wide => Self(Family::Subgroup { lanes: 8 }),
            _ => Self::PLAIN,
        }
    }

    /// Outputs of a workgroup of that kernel.
    pub(super) fn bias_tile(&self) -> usize {
        match self.0 {
            Family::Subgroup { lanes } => 32 * lanes,
            _ => 64,
        }
    }

    /// Workgroups that fill `columns` channels of `rows` pixels.
    pub(super) fn grid(&self, operation: Operation, shape: ConvolutionShape, rows: usize, columns: usize) -> Grid {
        let tile = self.tile(operation, shape);
        let Grid([x, y, _]) = Grid::linear(rows.div_ceil(tile.rows));
        let columns = columns.div_ceil(tile.columns) as u32;
        Grid(if matches!(self.0, Family::Plain) { [x, y, columns] } else { [columns, x, y] })
    }

    /// Tiles of a product over `rows` rows.
    pub(super) fn tiles(&self, shape: ConvolutionShape, rows: usize) -> usize {
        rows.div_ceil(self.tile(Operation::Forward, shape).rows)
    }

    /// Workgroups of the weight gradient.
    pub(super) fn weight_grid(&self, shape: ConvolutionShape, splits: usize) -> Grid {
        let tile = self.tile(Operation::BackwardWeight, shape);
        let taps = shape.kernel[0] * shape.kernel[1];
        let [columns, splits] = [shape.outputs.div_ceil(tile.columns), splits].map(|count| count as u32);
        match self.0 {
            // All rows of a tile are of one tap.
            Family::Subgroup { .. } => Grid([columns, (taps * shape.inputs.div_ceil(tile.rows)) as u32, splits]),
            // Or of one tap along time.
            Family::Wide => Grid([columns, (shape.kernel[0] * shape.inputs.div_ceil(tile.rows)) as u32, splits]),
            Family::Matrix { weight, .. } => {
                let groups = weight.groups(Operation::BackwardWeight, shape);
                Grid([(groups * shape.inputs.div_ceil(weight.rows)) as u32, splits, columns])
            }
            Family::Plain | Family::Tiled { .. } => Grid([(taps * shape.inputs).div_ceil(tile.rows) as u32, splits, columns]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Storage;
    use naga::valid::{Capabilities, ValidationFlags, Validator};

    /// The adapters that the tests run on may have no matrix units; what is offered to others must at least be valid.
    #[test]
    fn every_matrix_tile_makes_a_valid_shader_of_bounded_size() {
        let layer = |kernel, [inputs, outputs]: [usize; 2], mel| ConvolutionShape { kernel, inputs, outputs, mel };
        let shapes = [layer([5, 5], [32; 2], 128), layer([3, 3], [36, 40], 77), layer([1, 1], [128, 512], 1)];
        for (variant, shape) in MATRIX.iter().flat_map(|variant| shapes.map(|shape| (variant, shape))) {
            for operation in [Operation::Forward, Operation::BackwardInput, Operation::BackwardWeight] {
                let tile = variant.matrix_tile(operation).expect("a variant of matrices");
                let sizes = [("KERNEL_TIME", shape.kernel[0]), ("KERNEL_MEL", shape.kernel[1]), ("MEL", shape.mel)];
                let channels = [("INPUTS", shape.inputs), ("OUTPUTS", shape.outputs)];
                let mut constants: Vec<(&str, Constant)> = vec![("FOLD", true.into())];
                constants.extend(sizes.iter().chain(&channels).map(|&(name, size)| (name, size.into())));
                constants.extend(tile.constants(operation, shape));
                // Halves are what they are for; as floats all of them are tried by other tests, too.
                let shader = variant.shader(operation).0;
                let text = crate::gpu::specialise_for(shader, &constants, Precision::Mixed, Storage::Halves).unwrap();
                let label = format!("{} of {shape:?}", variant.label(operation));
                let module =
                    naga::front::wgsl::parse_str(&text).unwrap_or_else(|e| panic!("{label}: {}", e.emit_to_string(&text)));
                let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module);
                let info = info.unwrap_or_else(|e| panic!("{label}: {}", e.emit_to_string(&text)));
                naga::back::spv::write_vec(&module, &info, &naga::back::spv::Options::default(), None).unwrap();
                // What the host counts is what the shader takes.
                let place = module.entry_points.iter().position(|entry| entry.name == operation.entry()).unwrap();
                let used = info.get_entry_point(place);
                let shared = module
                    .global_variables
                    .iter()
                    .filter(|(handle, variable)| variable.space == naga::AddressSpace::WorkGroup && !used[*handle].is_empty());
                let bytes: u32 = shared.map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx())).sum();
                assert_eq!(tile.workgroup_bytes(operation, shape), bytes as usize, "{label}, {operation:?}");
                let threads = module.entry_points[place].workgroup_size[0] as usize;
                assert_eq!(tile.threads(operation, shape), threads, "{label}, {operation:?}");
            }
        }
    }
}
