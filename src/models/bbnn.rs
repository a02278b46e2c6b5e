//! The Bottom-up Broadcast Neural Network (Liu et al., arXiv 1901.08928), with its published sizes:
//!
//! ```text
//! stem        conv 3x3 1 -> 32, BN, ReLU, max pool 4x1          (time, mel, 1)     -> (time/4, mel, 32)
//! blocks 1-3  x = concat[x, inception(x)]                       32, 160, 288       -> 160, 288, 416 channels
//! transition  BN, ReLU, conv 1x1 -> 32, average pool 2x2        (time/4, mel, 416) -> (time/8, mel/2, 32)
//! decision    BN, ReLU, global average pool, linear             32                 -> classes
//! ```

use super::{Dimensions, ModelError};
use crate::config::{ModelConfig, ModelName};
use crate::gpu::{Element, Gpu, GpuError, Pass, Tensor};
use crate::layers::{
    Bottlenecks, BroadcastMap, Channels, ConvolutionShape, Decision, Declarations, ImageContext, Inception, LEAST_CHUNK, Layer,
    LinearShape, Map, Mode, Parameters, PoolShape, PooledBranch, Size, Slices, Stem, Transition,
};

/// What the sizes of a network follow from.
#[derive(Debug, Clone, Copy)]
struct Plan {
    mels: usize,
    /// Filters of every convolution.
    width: usize,
    /// Inception blocks.
    blocks: usize,
    /// Sides of the two kernels of a block.
    kernels: [usize; 2],
    /// After the stem.
    pool: PoolShape,
    /// After the transition's convolution.
    transition: PoolShape,
}

impl Plan {
    fn new(model: &ModelConfig, mels: usize) -> Self {
        let ModelConfig { width, blocks, kernels, pool, transition_pool, .. } = *model;
        let (pool, transition) = (PoolShape::valid(pool), PoolShape::valid(transition_pool));
        Self { mels, width, blocks, kernels, pool, transition }
    }

    /// Channels that block `index` reads; of index `blocks`, those of the whole map.
    fn inputs(&self, index: usize) -> usize {
        self.width + 4 * self.width * index
    }

    /// Frames and bands of the map that the blocks extend.
    fn map(&self, frames: usize) -> [usize; 2] {
        [self.pool.windows(0, frames), self.pool.windows(1, self.mels)]
    }

    /// Frames and bands that the decision sees.
    fn head(&self, frames: usize) -> [usize; 2] {
        let [frames, mel] = self.map(frames);
        [self.transition.windows(0, frames), self.transition.windows(1, mel)]
    }

    /// Floats for the largest reduction over a batch.
    fn scratch(&self, batch: usize, frames: usize, classes: usize, slices: Slices) -> usize {
        let Self { width, mels, kernels, .. } = *self;
        let [map_frames, map_mel] = self.map(frames);
        let shape = |side: usize, inputs: usize| ConvolutionShape { kernel: [side, side], inputs, outputs: width, mel: map_mel };
        let kernel = |side: usize, inputs: usize| shape(side, inputs).scratch(slices);
        let statistics = |rows: usize, channels: usize| 2 * channels * (batch * rows / LEAST_CHUNK + batch + 1);
        let together =
            |units, maps| Bottlenecks::scratch(slices, units, maps, [width, 4 * width, width], batch * map_frames * map_mel);
        let sizes = [
            Stem::scratch(self.pool, slices, [frames, mels], width),
            kernel(kernels[0], width),
            kernel(kernels[1], width),
            kernel(1, 4 * width),
            shape(1, 4 * width).tile_scratch(batch * map_frames * map_mel, slices),
            statistics(map_frames * map_mel, 4 * width),
            PooledBranch::scratch(batch * map_frames * map_mel, 4 * width, slices),
            together(3, self.blocks.max(1)),
            together(1, self.blocks + 1),
            LinearShape { inputs: width, outputs: classes }.scratch(),
        ];
        sizes.into_iter().max().unwrap_or(0)
    }
}

/// Names and shapes.
pub(super) fn declare(model: &ModelConfig, dimensions: Dimensions) -> Result<Declarations, ModelError> {
    let mut declarations = Declarations::default();
    let plan = Plan::new(model, dimensions.mels);
    for (axis, given, place) in [("frames", dimensions.frames, 0), ("mel bands", dimensions.mels, 1)] {
        let factor = plan.pool.kernel[place] * plan.transition.kernel[place];
        if given < factor {
            return Err(ModelError::TooSmall { model: ModelName::Bbnn, axis, given, factor });
        }
    }
    let mel = plan.map(dimensions.frames)[1];
    Stem::declare(&mut declarations, plan.mels, plan.width);
    for block in 0..plan.blocks {
        Inception::declare(&mut declarations, &format!("blocks.{block}"), mel, plan.inputs(block), plan.width, plan.kernels);
    }
    Transition::declare(&mut declarations, mel, plan.inputs(plan.blocks), plan.width);
    Decision::declare(&mut declarations, plan.width, dimensions.classes);
    Ok(declarations)
}

/// What maps and their gradients are stored as.
pub(super) fn maps(gpu: &Gpu, model: &ModelConfig) -> Element {
    ImageContext::maps_of(gpu, model.width.is_multiple_of(4))
}

/// How a batch is cut on this adapter, into at most `most` samples at a time.
pub(super) fn slices(
    gpu: &Gpu,
    model: &ModelConfig,
    dimensions: Dimensions,
    most: usize,
    maps: Element,
) -> Result<Slices, GpuError> {
    let Dimensions { batch, frames, mels, .. } = dimensions;
    let plan = Plan::new(model, mels);
    let positions = |[frames, mel]: [usize; 2]| frames * mel;
    let (map, head) = (positions(plan.map(frames)), positions(plan.head(frames)));
    let width = plan.width;
    // Of features and what the decision reads, which are floats, of maps as they are stored, and of the taps of pooling, of which
    // four channels share a word where they come in fours.
    let floats = [frames * mels, head * width].map(|elements| elements * Element::F32.bytes());
    let stored = [width, 4 * width].map(|channels| map * channels * maps.bytes());
    let taps = if width.is_multiple_of(4) { [map * width, map * 4 * width] } else { stored };
    let bytes = [&floats[..], &stored, &taps].concat();
    let largest = bytes.iter().copied().max().unwrap_or(0);
    Slices::new(gpu, batch, largest)?.at_most(most).aligned(gpu, &bytes)
}

/// All layers of the network.
pub(super) struct Bbnn {
    plan: Plan,
    stem: Stem,
    blocks: Vec<Inception>,
    transition: Transition,
    decision: Decision,
}

impl Bbnn {
    /// Prepares every kernel from `x` (batch, frames, mel) to `logits`.
    pub(super) fn new(
        gpu: &Gpu,
        model: &ModelConfig,
        dimensions: Dimensions,
        parameters: &Parameters,
        x: &Tensor,
        logits: &Map,
        slices: Slices,
        maps: Element,
    ) -> Result<Self, GpuError> {
        let Dimensions { batch, frames, mels, classes } = dimensions;
        let plan = Plan::new(model, mels);
        let Plan { width, blocks: count, .. } = plan;
        let [map_frames, map_mel] = plan.map(frames);
        let scratch = gpu.tensor("partial sums", Element::F32, &[plan.scratch(batch, frames, classes, slices)])?;
        let context = ImageContext::new(gpu, slices, scratch, batch * map_frames * map_mel * 4 * width).with_maps(maps);
        let map = BroadcastMap::new(&context, [batch, map_frames, map_mel], width, count)?;
        let x = Channels::whole(&x.view(0, &[batch, frames, mels, 1]));
        let [head_frames, head_mel] = plan.head(frames);
        let head = Map::image(gpu, "transition", [batch, head_frames, head_mel, width])?;
        let block = |i: usize| Inception::new(&context, parameters, &format!("blocks.{i}"), i, plan.kernels, &map);
        Ok(Self {
            stem: Stem::new(&context, parameters, plan.pool, &x, &map)?,
            blocks: (0..count).map(block).collect::<Result<_, _>>()?,
            transition: Transition::new(&context, parameters, &map, plan.transition, &head)?,
            decision: Decision::new(&context, parameters, &head, logits)?,
            plan,
        })
    }

    fn sizes(&self, size: Size) -> [Size; 2] {
        let [[map, _], [head, _]] = [self.plan.map(size.frames), self.plan.head(size.frames)];
        [Size { frames: map, ..size }, Size { frames: head, ..size }]
    }
}

impl Layer for Bbnn {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        let [map, head] = self.sizes(size);
        self.stem.forward(pass, size, mode);
        for block in &self.blocks {
            block.forward(pass, map, mode);
        }
        self.transition.forward(pass, map, mode);
        self.decision.forward(pass, head, mode);
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        let [map, head] = self.sizes(size);
        self.decision.backward(pass, head);
        self.transition.backward(pass, map);
        for block in self.blocks.iter().rev() {
            block.backward(pass, map);
        }
        self.stem.backward(pass, size);
    }
}
