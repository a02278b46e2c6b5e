//! The Bottom-up Broadcast Neural Network (Liu et al., arXiv 1901.08928).
//!
//! ```text
//! stem        conv 3x3 1 -> 32, BN, ReLU, max pool 4x1          (time, mel, 1)     -> (time/4, mel, 32)
//! blocks 1-3  x = concat[x, inception(x)]                       32, 160, 288       -> 160, 288, 416 channels
//! transition  BN, ReLU, conv 1x1 -> 32, average pool 2x2        (time/4, mel, 416) -> (time/8, mel/2, 32)
//! decision    BN, ReLU, global average pool, linear             32                 -> classes
//! ```

use super::{Dimensions, ModelError};
use crate::config::ModelName;
use crate::gpu::{Element, Gpu, GpuError, Pass, Tensor};
use crate::layers::{
    Channels, ConvolutionShape, Decision, Declarations, ImageContext, Inception, Layer, LinearShape, Map, Mode, Parameters, Size,
    Slices, Source, SourceStatistics, Stem, Transition,
};

/// Filters of every convolution.
const WIDTH: usize = 32;
/// Inception blocks.
const BLOCKS: usize = 3;
/// Frames that the stem's pooling joins.
const STEM_POOL: usize = 4;

/// Channels that block `index` reads; of index `BLOCKS`, those of the whole map.
fn inputs(index: usize) -> usize {
    WIDTH + 4 * WIDTH * index
}

/// Names and shapes.
pub(super) fn declare(dimensions: Dimensions) -> Result<Declarations, ModelError> {
    let mut declarations = Declarations::default();
    let mel = dimensions.mels;
    for (axis, given, factor) in [("frames", dimensions.frames, 2 * STEM_POOL), ("mel bands", mel, 2)] {
        if given < factor {
            return Err(ModelError::TooSmall { model: ModelName::Bbnn, axis, given, factor });
        }
    }
    Stem::declare(&mut declarations, mel, WIDTH);
    for block in 0..BLOCKS {
        Inception::declare(&mut declarations, &format!("blocks.{block}"), mel, inputs(block), WIDTH);
    }
    Transition::declare(&mut declarations, mel, inputs(BLOCKS), WIDTH);
    Decision::declare(&mut declarations, WIDTH, dimensions.classes);
    Ok(declarations)
}

/// How a batch is cut on this adapter, into at most `most` samples at a time.
pub(super) fn slices(gpu: &Gpu, dimensions: Dimensions, most: usize) -> Result<Slices, GpuError> {
    let Dimensions { batch, frames, mels, .. } = dimensions;
    let windows = Stem::pool(STEM_POOL).windows(0, frames);
    let pool = Transition::pool();
    let head = pool.windows(0, windows) * pool.windows(1, mels) * WIDTH;
    let elements = [frames * mels, frames * mels * WIDTH, windows * mels * WIDTH, windows * mels * 4 * WIDTH, head];
    let bytes = elements.map(|elements| elements * Element::F32.bytes());
    let largest = bytes.into_iter().max().unwrap_or(0);
    Slices::new(gpu, batch, largest)?.at_most(most).aligned(gpu, &bytes)
}

/// All layers of the network.
pub(super) struct Bbnn {
    stem: Stem,
    blocks: Vec<Inception>,
    transition: Transition,
    decision: Decision,
}

impl Bbnn {
    /// Prepares every kernel from `x` (batch, frames, mel) to `logits`.
    pub(super) fn new(
        gpu: &Gpu,
        dimensions: Dimensions,
        parameters: &Parameters,
        x: &Tensor,
        logits: &Map,
        slices: Slices,
    ) -> Result<Self, GpuError> {
        let Dimensions { batch, frames, mels, .. } = dimensions;
        let windows = Stem::pool(STEM_POOL).windows(0, frames);
        let kernel =
            |k: usize, inputs: usize| ConvolutionShape { kernel: [k, k], inputs, outputs: WIDTH, mel: mels }.scratch(slices);
        let most =
            [kernel(3, WIDTH), kernel(5, WIDTH), kernel(1, 4 * WIDTH), 2 * WIDTH * (batch * frames * mels / 512 + batch + 1)];
        let classifier = LinearShape { inputs: WIDTH, outputs: dimensions.classes }.scratch();
        let scratch_elements =
            most.into_iter().max().unwrap_or(0).max(classifier).max(8 * WIDTH * (batch * windows * mels / 512 + batch + 1));
        let context = ImageContext {
            gpu: gpu.clone(),
            slices,
            scratch: gpu.tensor("partial sums", Element::F32, &[scratch_elements])?,
            activation_grad: gpu.tensor("activation gradient", Element::F32, &[batch * windows * mels * 4 * WIDTH])?,
        };
        let sources = (0..=BLOCKS)
            .map(|i| {
                let shape = [batch, windows, mels, if i == 0 { WIDTH } else { 4 * WIDTH }];
                let pooled = if i < BLOCKS { Some(Map::image(gpu, "pooled map", shape)?) } else { None };
                Ok(Source { map: Map::image(gpu, "map", shape)?, pooled })
            })
            .collect::<Result<Vec<_>, GpuError>>()?;
        let statistics = SourceStatistics {
            values: gpu.tensor("map statistics", Element::F32, &[inputs(BLOCKS), 2])?,
            pooled: gpu.tensor("pooled statistics", Element::F32, &[inputs(BLOCKS - 1), 2])?,
        };
        let x = Channels::whole(&x.view(0, &[batch, frames, mels, 1]));
        let pool = Transition::pool();
        let head = Map::image(gpu, "transition", [batch, pool.windows(0, windows), pool.windows(1, mels), WIDTH])?;
        let block = |i: usize| Inception::new(&context, parameters, &format!("blocks.{i}"), i, BLOCKS, &sources, &statistics);
        Ok(Self {
            stem: Stem::new(&context, parameters, STEM_POOL, &x, &sources[0], &statistics)?,
            blocks: (0..BLOCKS).map(block).collect::<Result<_, _>>()?,
            transition: Transition::new(&context, parameters, &sources, &statistics.values, &head)?,
            decision: Decision::new(&context, parameters, &head, logits)?,
        })
    }

    fn sizes(size: Size) -> [Size; 2] {
        let windows = Stem::pool(STEM_POOL).windows(0, size.frames);
        [Size { frames: windows, ..size }, Size { frames: Transition::pool().windows(0, windows), ..size }]
    }
}

impl Layer for Bbnn {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        let [map, head] = Self::sizes(size);
        self.stem.forward(pass, size, mode);
        for block in &self.blocks {
            block.forward(pass, map, mode);
        }
        self.transition.forward(pass, map, mode);
        self.decision.forward(pass, head, mode);
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        let [map, head] = Self::sizes(size);
        self.decision.backward(pass, head);
        self.transition.backward(pass, map);
        for block in self.blocks.iter().rev() {
            block.backward(pass, map);
        }
        self.stem.backward(pass, size);
    }
}
