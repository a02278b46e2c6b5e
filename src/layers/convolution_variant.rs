//! The kernels of the convolution family, and which of them an adapter gets.

use super::{ConvolutionShape, convolution_contest};
use crate::gpu::{Constant, Gpu, Grid, Shader};

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
    /// `convolution_tiled.wgsl` and `convolution_tiled_weight.wgsl`
    Tiled { product: Tile, weight: Tile },
    /// `convolution_single.wgsl`, and the plain one for everything but forward.
    Single,
    /// `convolution_subgroup.wgsl`
    Subgroup { lanes: usize },
    /// `convolution_aligned_subgroup.wgsl`
    AlignedSubgroup { lanes: usize },
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

/// Pixels of an invocation of `convolution_single.wgsl`.
const SINGLE_PIXELS: usize = 8;

/// Tiles of products and of weight gradients, in pairs that have nothing to do with each other.
const TILED: [ConvolutionVariant; 5] = [
    tiled([128, 32, 1], [64, 32, 1]),
    tiled([128, 32, 2], [128, 32, 1]),
    tiled([64, 64, 1], [32, 32, 1]),
    tiled([128, 64, 2], [128, 64, 2]),
    tiled([64, 32, 1], [96, 32, 1]),
];

impl ConvolutionVariant {
    pub(super) const PLAIN: Self = Self(Family::Plain);

    /// Those that run on the adapter: on a software adapter the one that it gets first, on hardware the one that others are
    /// measured against.
    pub fn available(gpu: &Gpu) -> Vec<Self> {
        let summary = gpu.summary();
        let [least, most] = summary.subgroup_sizes.map(|lanes| lanes as usize);
        let subgroups = if summary.subgroups && least == most && least >= 8 {
            vec![Self(Family::AlignedSubgroup { lanes: least }), Self(Family::Subgroup { lanes: least })]
        } else {
            Vec::new()
        };
        let parts = if summary.is_software() {
            [&subgroups[..], &[Self::PLAIN, Self(Family::Single)], &TILED]
        } else {
            [&[Self::PLAIN, Self(Family::Single)], &TILED[..], &subgroups]
        };
        parts.concat()
    }

    /// Whether it runs over tensors whose channels come in fours, or do not.
    pub fn takes(&self, shape: ConvolutionShape, in_fours: bool) -> bool {
        match self.0 {
            Family::Plain | Family::Subgroup { .. } => true,
            Family::Single => shape.inputs == 1,
            Family::Tiled { .. } | Family::AlignedSubgroup { .. } => in_fours,
        }
    }

    /// The name of its shader.
    pub fn name(&self) -> &'static str {
        self.shader(Operation::Forward).0
    }

    /// Its name and the tile of an operation.
    pub(super) fn label(&self, operation: Operation) -> String {
        match self.0 {
            Family::Tiled { .. } => {
                let Tile { rows, columns, wide } = self.tile(operation);
                format!("tiled {rows}x{columns}x{}", 4 * wide)
            }
            _ => self.name().to_owned(),
        }
    }

    pub(super) fn shader(&self, operation: Operation) -> Shader {
        Shader(match (self.0, operation) {
            (Family::Single, Operation::Forward) => "convolution_single",
            (Family::Plain | Family::Single, _) => "convolution",
            (Family::Tiled { .. }, Operation::BackwardWeight) => "convolution_tiled_weight",
            (Family::Tiled { .. }, _) => "convolution_tiled",
            (Family::Subgroup { .. }, _) => "convolution_subgroup",
            (Family::AlignedSubgroup { .. }, _) => "convolution_aligned_subgroup",
        })
    }

    /// The constants that only its shader has.
    pub(super) fn constants(&self, operation: Operation) -> Vec<(&'static str, Constant)> {
        match self.0 {
            Family::Plain | Family::Single => Vec::new(),
            Family::Subgroup { lanes } | Family::AlignedSubgroup { lanes } => vec![("LANES", lanes.into())],
            Family::Tiled { .. } => {
                let Tile { rows, columns, wide } = self.tile(operation);
                vec![("ROWS", rows.into()), ("COLUMNS", columns.into()), ("WIDE", wide.into())]
            }
        }
    }

    /// Rows and columns of a workgroup's tile of an operation.
    fn tile(&self, operation: Operation) -> Tile {
        let narrow = |rows, columns| Tile { rows, columns, wide: 1 };
        match (self.0, operation) {
            (Family::Plain | Family::Single, Operation::BackwardWeight) => narrow(64, 32),
            (Family::Plain | Family::Single, _) => narrow(128, 32),
            (Family::Tiled { weight, .. }, Operation::BackwardWeight) => weight,
            (Family::Tiled { product, .. }, _) => product,
            (Family::Subgroup { lanes }, _) => narrow(16, 4 * lanes),
            (Family::AlignedSubgroup { lanes }, _) => narrow(32, 4 * lanes),
        }
    }

    /// Whether the gradient of the bias comes along with that of the weight.
    pub(super) fn brings_bias(&self) -> bool {
        matches!(self.0, Family::Tiled { .. })
    }

    /// The variant whose kernel sums up the gradient of the bias alone.
    pub(super) fn of_bias(self) -> Self {
        if matches!(self.0, Family::AlignedSubgroup { .. }) { self } else { Self::PLAIN }
    }

    /// Outputs of a workgroup of that kernel.
    pub(super) fn bias_tile(&self) -> usize {
        match self.0 {
            Family::AlignedSubgroup { lanes } => 32 * lanes,
            _ => 64,
        }
    }

    /// Workgroups that fill `columns` channels of `rows` pixels, `mel` to a frame.
    pub(super) fn grid(&self, operation: Operation, rows: usize, columns: usize, mel: usize) -> Grid {
        if (self.0, operation) == (Family::Single, Operation::Forward) {
            return Grid::threads(rows / mel * mel.div_ceil(SINGLE_PIXELS) * columns, 64);
        }
        let tile = self.tile(operation);
        let Grid([x, y, _]) = Grid::linear(rows.div_ceil(tile.rows));
        let columns = columns.div_ceil(tile.columns) as u32;
        Grid(if matches!(self.0, Family::Plain | Family::Single) { [x, y, columns] } else { [columns, x, y] })
    }

    /// Tiles of a product over `rows` rows.
    pub(super) fn tiles(&self, rows: usize) -> usize {
        rows.div_ceil(self.tile(Operation::Forward).rows)
    }

    /// Workgroups of the weight gradient.
    pub(super) fn weight_grid(&self, shape: ConvolutionShape, splits: usize) -> Grid {
        let tile = self.tile(Operation::BackwardWeight);
        let taps = shape.kernel[0] * shape.kernel[1];
        let [columns, splits] = [shape.outputs.div_ceil(tile.columns), splits].map(|count| count as u32);
        match self.0 {
            // All rows of a tile are of one tap.
            Family::Subgroup { .. } | Family::AlignedSubgroup { .. } => {
                Grid([columns, (taps * shape.inputs.div_ceil(tile.rows)) as u32, splits])
            }
            Family::Plain | Family::Single | Family::Tiled { .. } => {
                Grid([(taps * shape.inputs).div_ceil(tile.rows) as u32, splits, columns])
            }
        }
    }
}

/// The variants of a convolution's operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvolutionVariants {
    pub(super) forward: ConvolutionVariant,
    pub(super) backward_input: ConvolutionVariant,
    pub(super) backward_weight: ConvolutionVariant,
}

impl From<ConvolutionVariant> for ConvolutionVariants {
    fn from(variant: ConvolutionVariant) -> Self {
        Self { forward: variant, backward_input: variant, backward_weight: variant }
    }
}

impl ConvolutionVariants {
    /// Those that the adapter gets for `rows` rows of tensors whose channels come in fours, or do not. With runtime checks
    /// always the plain ones: software adapters take ten seconds to compile the others with them.
    pub fn choose(gpu: &Gpu, shape: ConvolutionShape, fold: bool, rows: usize, in_fours: bool) -> Self {
        if gpu.runtime_checks() {
            return ConvolutionVariant::PLAIN.into();
        }
        let takes: Vec<_> =
            ConvolutionVariant::available(gpu).into_iter().filter(|variant| variant.takes(shape, in_fours)).collect();
        if gpu.summary().is_software() {
            return takes[0].into();
        }
        let of = |operation| convolution_contest::choose(gpu, operation, &takes, shape, fold, rows);
        Self {
            forward: of(Operation::Forward),
            backward_input: of(Operation::BackwardInput),
            backward_weight: of(Operation::BackwardWeight),
        }
    }

    /// Whether the forward kernel can bring the moments of y.
    pub(super) fn bring_moments(&self) -> bool {
        matches!(self.forward.0, Family::Tiled { .. })
    }

    /// Whether the kernel of dx takes the gradient back through the fold.
    pub fn take_fold_back(&self) -> bool {
        matches!(self.backward_input.0, Family::Tiled { .. })
    }

    /// The shader of the forward kernel.
    pub fn name(&self) -> &'static str {
        self.forward.name()
    }

    pub(super) fn of(&self, operation: Operation) -> ConvolutionVariant {
        match operation {
            Operation::Forward => self.forward,
            Operation::BackwardInput => self.backward_input,
            Operation::BackwardWeight => self.backward_weight,
        }
    }
}
