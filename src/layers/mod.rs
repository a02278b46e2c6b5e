//! Layers: each the launcher of the shader of the same name, forward beside backward.
//!
//! A layer is a closed unit: it owns the kernels that it prepared over its tensors and knows nothing of the network
//! around it. Small ones ([`Convolution`], [`BatchNorm`], ..) are single operations; large ones ([`Stem`],
//! [`Inception`], [`IndrnnBlock`], ..) are the units that a network repeats, built from the small ones, and are what
//! fused kernels replace. A network is its layers in order and backward is the reverse.
//!
//! A gradient with one reader is written; with several, the later ones add: decided when the network is built
//! ([`Gradient`]).

mod add;
mod average_pool;
mod batch_norm;
mod bottleneck;
mod bottleneck_contest;
mod bottleneck_tiles;
mod bottleneck_together;
mod broadcast_map;
mod contest;
mod convolution;
mod convolution_contest;
mod convolution_matrix;
mod convolution_variant;
mod convolution_variants;
mod decision;
mod dense_block;
mod dropout;
mod folded_gradient;
mod gather;
mod global_average_pool;
mod gradient_scale;
mod inception;
mod indrnn;
mod indrnn_block;
mod indrnn_contest;
mod indrnn_folded;
mod indrnn_scan;
mod indrnn_unit;
mod last_step;
mod linear;
mod map;
mod max_pool;
mod parameters;
mod pooled_branch;
mod product_tile;
mod recurrence;
mod recurrence_contest;
mod recurrence_matrix;
mod recurrence_register;
mod recurrence_variant;
mod recurrent_layer;
mod recurrent_stack;
mod reduce;
mod relu;
mod residual_block;
mod sequence_head;
mod sequence_norm;
mod softmax_cross_entropy;
mod standardise;
mod stem;
mod transition;
mod unit;
mod wavefront;
mod wavefront_contest;
mod wavefront_products;
mod wavefront_schedule;

pub use add::Add;
pub use average_pool::AveragePool;
pub use batch_norm::{
    BatchNorm, BatchNormBackward, BatchNormGradients, ChannelStatistics, LEAST_CHUNK, Normalise, TileStatistics,
};
pub use bottleneck::Bottlenecks;
pub use bottleneck_tiles::BottleneckTiles;
pub use broadcast_map::{BroadcastMap, Source, SourceStatistics};
pub use convolution::{Convolution, ConvolutionShape, ConvolutionTensors, Fold};
pub use convolution_variant::ConvolutionVariant;
pub use convolution_variants::ConvolutionVariants;
pub use decision::Decision;
pub use dense_block::DenseBlock;
pub use dropout::{Dropout, DropoutSeed};
pub use folded_gradient::{Correction, FoldedGradient};
pub use gather::{Crop, Gather};
pub use global_average_pool::GlobalAveragePool;
pub use gradient_scale::{GradientScale, LEAST_GRADIENT_SCALE};
pub use inception::Inception;
pub use indrnn::{IndrnnPath, IndrnnRecurrence};
pub use indrnn_block::{IndrnnBlock, NormPlace, RecurrentWeights};
pub use indrnn_folded::{FoldedIndrnn, NormFold};
pub use indrnn_unit::{IndrnnActivation, IndrnnUnit, UnitSource};
pub use last_step::LastStep;
pub use linear::{Linear, LinearShape};
pub use map::{Channels, ImageContext, Map, MapStatistics, SequenceContext, Slices, alignment};
pub use max_pool::{MaxPool, PoolShape};
pub use parameters::{Declarations, FileLayout, Initial, Param, ParameterSpec, Parameters, StatisticSpec};
pub use pooled_branch::{PooledBranch, PooledCopy};
pub use product_tile::ProductTile;
pub use recurrence::{Cell, Recurrence, RecurrenceTensors};
pub use recurrence_register::RegisterLayout;
pub use recurrence_variant::{Direction, RecurrenceVariant};
pub use recurrent_layer::{RecurrentLayer, RecurrentShape};
pub use recurrent_stack::{RecurrentStack, StackOrder};
pub use relu::Relu;
pub use residual_block::ResidualBlock;
pub use sequence_head::{Readout, SequenceHead};
pub use sequence_norm::SequenceNorm;
pub use softmax_cross_entropy::SoftmaxCrossEntropy;
pub use standardise::{Standardise, StandardiseTo};
pub use stem::Stem;
pub use transition::Transition;
pub use unit::{Unit, UnitInput, UnitOutput};
pub use wavefront::{Wavefront, WavefrontPlan};

use crate::gpu::Pass;

/// The sizes that vary from batch to batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Samples.
    pub batch: usize,
    /// Frames of each sample.
    pub frames: usize,
}

/// What a forward pass is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// Batch norm uses the batch's statistics and moves the running ones by its own momentum.
    Train,
    /// As in training, but the running statistics move by this share (1/k in the k-th batch averages batches evenly).
    Recalibrate(f32),
    /// Batch norm uses the running statistics.
    Evaluate,
}

/// How a layer leaves the gradient of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gradient {
    /// It is the first, or the only one, to say something: it writes.
    Write,
    /// Others have written: it adds.
    Add,
}

impl Gradient {
    fn adds(self) -> bool {
        self == Self::Add
    }
}

/// A unit of a network: forward fills its output, backward the gradients of its parameters and its input.
pub trait Layer {
    /// Records the kernels from input to output.
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode);
    /// Records the kernels from the output's gradient to the input's and the parameters'.
    fn backward(&self, pass: &mut Pass<'_>, size: Size);
}
