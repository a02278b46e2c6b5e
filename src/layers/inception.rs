//! BBNN's block: four branches of pre-activation units over everything before it, appended to it.
//!
//! `[1x1 | 1x1 -> 3x3 | 1x1 -> 5x5 | max pool 3x3 same (before batch norm) -> 1x1]`; the two kernels may be others.
//!
//! Dense concatenation only appends, so the map of the network is a list of [`Source`]s: the stem's output, then one per
//! block. A block reads those before it and owns the one that it appends; statistics and the pooled copy of a source are
//! made once, by its producer's block or, for pooling, by the first block that reads it.

use super::unit::EPSILON;
use super::{
    ChannelStatistics, ConvolutionShape, Declarations, Gradient, ImageContext, Map, MaxPool, Mode, Parameters, PoolShape, Size,
    Unit, UnitInput,
};
use crate::gpu::{Element, GpuError, Pass, Tensor};

/// One appended part of the feature map, and its pooled copy where a block reads it.
pub struct Source {
    /// (batch, time, mel, channels).
    pub map: Map,
    /// The 3x3 maximum of it.
    pub pooled: Option<Map>,
}

/// Statistics of all sources' channels in order: of the values, and of the pooled copies.
pub struct SourceStatistics {
    /// (all channels, 2).
    pub values: Tensor,
    /// (all pooled channels, 2).
    pub pooled: Tensor,
}

/// A mid-branch map of `width` channels with its own statistics.
struct Middle {
    map: Map,
    tensor: Tensor,
    statistics: ChannelStatistics,
}

impl Middle {
    fn new(context: &ImageContext, label: &str, shape: [usize; 4]) -> Result<Self, GpuError> {
        let ImageContext { gpu, slices, scratch, .. } = context;
        let map = Map::image(gpu, label, shape)?;
        let tensor = gpu.tensor(label, Element::F32, &[shape[3], 2])?;
        let statistics = ChannelStatistics::new(gpu, &map.value, *slices, &tensor, 0, EPSILON, scratch)?;
        Ok(Self { map, tensor, statistics })
    }
}

/// `branch3x3`
fn branch(kernel: usize) -> String {
    format!("branch{kernel}x{kernel}")
}

/// A block: reads sources `0 ..= index`, fills source `index + 1`.
pub struct Inception {
    mel: usize,
    pool: MaxPool,
    pooled_statistics: ChannelStatistics,
    branch1x1: Unit,
    /// One per kernel: 1x1, then the kernel.
    branches: [[Unit; 2]; 2],
    branch_pool: Unit,
    middle: [Middle; 2],
    statistics: ChannelStatistics,
}

impl Inception {
    fn shape(mel: usize, kernel: usize, inputs: usize, width: usize) -> ConvolutionShape {
        ConvolutionShape { kernel: [kernel, kernel], inputs, outputs: width, mel }
    }

    /// Declares block `name` over `inputs` channels, in the order of the checkpoint.
    pub fn declare(declarations: &mut Declarations, name: &str, mel: usize, inputs: usize, width: usize, kernels: [usize; 2]) {
        let mut unit = |part: &str, kernel, inputs| {
            Unit::declare(declarations, &format!("{name}.{part}"), Self::shape(mel, kernel, inputs, width))
        };
        unit("branch1x1", 1, inputs);
        for kernel in kernels {
            let branch = branch(kernel);
            unit(&format!("{branch}.0"), 1, inputs);
            unit(&format!("{branch}.1"), kernel, width);
        }
        unit("branch_pool", 1, inputs);
    }

    /// Prepares block `name`, number `index` of `blocks`.
    pub fn new(
        context: &ImageContext,
        parameters: &Parameters,
        name: &str,
        index: usize,
        blocks: usize,
        kernels: [usize; 2],
        sources: &[Source],
        statistics: &SourceStatistics,
    ) -> Result<Self, GpuError> {
        let ImageContext { gpu, slices, scratch, .. } = context;
        let output = &sources[index + 1].map;
        let width = output.value.count / 4;
        let inputs: usize = sources[..=index].iter().map(|s| s.map.value.count).sum();
        let pooled_of = |source: &'_ Source| source.pooled.clone().expect("a source that a block reads has a pooled copy");
        let own = &sources[index];
        let own_first = inputs - own.map.value.count;
        let [batch, frames, mel, _] = *output.value.tensor.shape() else { panic!("images have four axes") };
        let shape = [batch, frames, mel, width];
        let middle = [Middle::new(context, &branch(kernels[0]), shape)?, Middle::new(context, &branch(kernels[1]), shape)?];
        // The transition reads every source and runs backward first, so the blocks add.
        let values = || UnitInput {
            sources: sources[..=index].iter().map(|s| (&s.map, Gradient::Add)).collect(),
            statistics: &statistics.values,
        };
        // The last block is the first to say what the pooled copies' gradients are.
        let pooled: Vec<Map> = sources[..=index].iter().map(pooled_of).collect();
        let gradient = if index + 1 == blocks { Gradient::Write } else { Gradient::Add };
        // The newest copy has no reader before this block's backward unless a later block read it.
        let pooled_input = UnitInput { sources: pooled.iter().map(|m| (m, gradient)).collect(), statistics: &statistics.pooled };
        let of = |middle: &'_ Middle| (middle.map.clone(), middle.tensor.clone());
        let unit = |part: &str, kernel, inputs, input: &UnitInput<'_>, y: &Map| {
            Unit::new(context, parameters, &format!("{name}.{part}"), Self::shape(mel, kernel, inputs, width), input, y)
        };
        let two = |kernel: usize, middle: &Middle, y: &Map| {
            let (map, statistics) = of(middle);
            let input = UnitInput { sources: vec![(&map, Gradient::Write)], statistics: &statistics };
            let name = branch(kernel);
            let first = unit(&format!("{name}.0"), 1, inputs, &values(), &map)?;
            Ok::<_, GpuError>([first, unit(&format!("{name}.1"), kernel, width, &input, y)?])
        };
        let output_first: usize = inputs;
        Ok(Self {
            mel,
            pool: MaxPool::new(gpu, PoolShape::same([3, 3]), *slices, &own.map, &pooled_of(own), Gradient::Add)?,
            pooled_statistics: ChannelStatistics::new(
                gpu,
                &pooled_of(own).value,
                *slices,
                &statistics.pooled,
                own_first,
                EPSILON,
                scratch,
            )?,
            branch1x1: unit("branch1x1", 1, inputs, &values(), &output.part(0, width))?,
            branches: [
                two(kernels[0], &middle[0], &output.part(width, width))?,
                two(kernels[1], &middle[1], &output.part(2 * width, width))?,
            ],
            branch_pool: unit("branch_pool", 1, inputs, &pooled_input, &output.part(3 * width, width))?,
            statistics: ChannelStatistics::new(gpu, &output.value, *slices, &statistics.values, output_first, EPSILON, scratch)?,
            middle,
        })
    }

    /// Fills the block's source and its statistics. `size.frames` are the map's.
    pub fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        let rows = size.frames * self.mel;
        let training = mode != Mode::Evaluate;
        self.pool.forward(pass, size.batch, size.frames);
        if training {
            self.pooled_statistics.compute(pass, size.batch, rows);
        }
        self.branch1x1.forward(pass, size, mode);
        for (branch, middle) in self.branches.iter().zip(&self.middle) {
            branch[0].forward(pass, size, mode);
            if training {
                middle.statistics.compute(pass, size.batch, rows);
            }
            branch[1].forward(pass, size, mode);
        }
        self.branch_pool.forward(pass, size, mode);
        if training {
            self.statistics.compute(pass, size.batch, rows);
        }
    }

    /// Adds to the gradients of the sources read; that of the block's own source must be complete.
    pub fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.branch_pool.backward(pass, size);
        for branch in self.branches.iter().rev() {
            branch[1].backward(pass, size);
            branch[0].backward(pass, size);
        }
        self.branch1x1.backward(pass, size);
        // No earlier block reads this copy: its gradient is complete.
        self.pool.backward(pass, size.batch, size.frames);
    }
}
