//! BBNN's block: four branches of pre-activation units over everything before it, appended to it.
//!
//! `[1x1 | 1x1 -> 3x3 | 1x1 -> 5x5 | max pool 3x3 same (before batch norm) -> 1x1]`; the two kernels may be others.
//!
//! Dense concatenation only appends, so the map of the network is a list of [`Source`]s: the stem's output, then one per
//! block. A block reads those before it and owns the one that it appends; statistics and the pooled copy of a source are
//! made once, by its producer's block or, for pooling, by the first block that reads it.

use super::unit::EPSILON;
use super::{
    Bottlenecks, ChannelStatistics, ConvolutionShape, Correction, Declarations, Gradient, ImageContext, Map, MapStatistics,
    MaxPool, Mode, Parameters, PoolShape, Size, Unit, UnitInput, UnitOutput,
};
use crate::gpu::{GpuError, Pass};

/// One appended part of the feature map, and its pooled copy where a block reads it.
pub struct Source {
    /// (batch, time, mel, channels).
    pub map: Map,
    /// The 3x3 maximum of it.
    pub pooled: Option<Map>,
}

/// Statistics of all sources' channels in order: of the values, and of the pooled copies.
pub struct SourceStatistics {
    /// Of all channels.
    pub values: MapStatistics,
    /// Of all pooled channels.
    pub pooled: MapStatistics,
}

/// A mid-branch map of `width` channels with its own statistics.
struct Middle {
    map: Map,
    of_map: MapStatistics,
    statistics: ChannelStatistics,
    correction: Correction,
}

impl Middle {
    fn new(context: &ImageContext, label: &str, shape: [usize; 4]) -> Result<Self, GpuError> {
        let ImageContext { gpu, slices, scratch, .. } = context;
        let map = Map::image(gpu, label, shape)?;
        let of_map = MapStatistics::new(gpu, label, shape[3])?;
        let statistics = ChannelStatistics::new(gpu, &map.value, *slices, &of_map.moments, 0, EPSILON, scratch)?;
        let MapStatistics { moments, corrections } = &of_map;
        let correction = Correction::new(gpu, &map.value, &map.grad, *slices, moments, corrections, 0)?;
        Ok(Self { map, of_map, statistics, correction })
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
    /// The 1x1 units of the first three branches.
    bottlenecks: Bottlenecks,
    /// Of the second and third branch: the kernel over the bottleneck's map.
    branches: [Unit; 2],
    branch_pool: Bottlenecks,
    middle: [Middle; 2],
    statistics: ChannelStatistics,
    correction: Correction,
    pooled_correction: Correction,
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
        let values = UnitInput {
            sources: sources[..=index].iter().map(|s| (&s.map, Gradient::Add)).collect(),
            statistics: &statistics.values,
        };
        // The last block is the first to say what the pooled copies' gradients are.
        let pooled: Vec<Map> = sources[..=index].iter().map(pooled_of).collect();
        let gradient = if index + 1 == blocks { Gradient::Write } else { Gradient::Add };
        // The newest copy has no reader before this block's backward unless a later block read it.
        let pooled_input = UnitInput { sources: pooled.iter().map(|m| (m, gradient)).collect(), statistics: &statistics.pooled };
        // The block's channels follow those that it reads.
        let parts = [0, 1, 2, 3].map(|part| output.part(part * width, width));
        let part = |place: usize| UnitOutput { map: &parts[place], statistics: (&statistics.values, inputs + place * width) };
        let to_middle = |i: usize| UnitOutput { map: &middle[i].map, statistics: (&middle[i].of_map, 0) };
        let bottlenecks = |names: &[String], input: &UnitInput<'_>, outputs: &[UnitOutput<'_>]| {
            Bottlenecks::new(context, parameters, names, Self::shape(mel, 1, inputs, width), input, outputs)
        };
        let square = |kernel: usize, middle: &Middle, place: usize| {
            let input = UnitInput { sources: vec![(&middle.map, Gradient::Write)], statistics: &middle.of_map };
            let name = format!("{name}.{}.1", branch(kernel));
            Unit::new(context, parameters, &name, Self::shape(mel, kernel, width, width), &input, &part(place))
        };
        let [one, two] = kernels.map(|kernel| format!("{name}.{}.0", branch(kernel)));
        let names = [format!("{name}.branch1x1"), one, two];
        let correction = |map: &Map, of: &MapStatistics, first| {
            Correction::new(gpu, &map.value, &map.grad, *slices, &of.moments, &of.corrections, first)
        };
        Ok(Self {
            mel,
            pool: MaxPool::new(gpu, PoolShape::same([3, 3]), *slices, &own.map, &pooled_of(own), Gradient::Add)?,
            pooled_statistics: ChannelStatistics::new(
                gpu,
                &pooled_of(own).value,
                *slices,
                &statistics.pooled.moments,
                own_first,
                EPSILON,
                scratch,
            )?,
            bottlenecks: bottlenecks(&names, &values, &[part(0), to_middle(0), to_middle(1)])?,
            branches: [square(kernels[0], &middle[0], 1)?, square(kernels[1], &middle[1], 2)?],
            branch_pool: bottlenecks(&[format!("{name}.branch_pool")], &pooled_input, &[part(3)])?,
            statistics: ChannelStatistics::new(
                gpu,
                &output.value,
                *slices,
                &statistics.values.moments,
                inputs,
                EPSILON,
                scratch,
            )?,
            correction: correction(output, &statistics.values, inputs)?,
            pooled_correction: correction(&pooled_of(own), &statistics.pooled, own_first)?,
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
        self.bottlenecks.forward(pass, size, mode);
        for (branch, middle) in self.branches.iter().zip(&self.middle) {
            if training && !self.bottlenecks.brings_statistics() {
                middle.statistics.compute(pass, size.batch, rows);
            }
            branch.forward(pass, size, mode);
        }
        self.branch_pool.forward(pass, size, mode);
        if training && !self.bring_statistics() {
            self.statistics.compute(pass, size.batch, rows);
        }
    }

    /// Whether all that fill the block's source bring its statistics.
    fn bring_statistics(&self) -> bool {
        let branches = self.branches.iter().all(Unit::brings_statistics);
        branches && [&self.bottlenecks, &self.branch_pool].iter().all(|group| group.brings_statistics())
    }

    /// Adds to the gradients of the sources read; that of the block's own source must be complete but for its correction.
    pub fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        let rows = size.frames * self.mel;
        self.correction.apply(pass, size.batch, rows);
        self.branch_pool.backward(pass, size);
        for (branch, middle) in self.branches.iter().zip(&self.middle).rev() {
            branch.backward(pass, size);
            middle.correction.apply(pass, size.batch, rows);
        }
        self.bottlenecks.backward(pass, size);
        // No earlier block reads this copy: its gradient is complete.
        self.pooled_correction.apply(pass, size.batch, rows);
        self.pool.backward(pass, size.batch, size.frames);
    }
}
