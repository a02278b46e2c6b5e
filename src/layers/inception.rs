//! BBNN's block: four branches of pre-activation units over everything before it, appended to it.
//!
//! `[1x1 | 1x1 -> 3x3 | 1x1 -> 5x5 | max pool 3x3 same (before batch norm) -> 1x1]`; the two kernels may be others.

use super::unit::EPSILON;
use super::{
    Bottlenecks, BroadcastMap, ChannelStatistics, Channels, ConvolutionShape, Correction, Declarations, Gradient, ImageContext,
    Map, MapStatistics, Mode, Parameters, PooledBranch, Size, Unit, UnitInput, UnitOutput,
};
use crate::gpu::{GpuError, Pass, Tensor};

/// A mid-branch map of `width` channels with its own statistics; its gradient is in a room that all blocks use.
struct Middle {
    map: Map,
    of_map: MapStatistics,
    statistics: ChannelStatistics,
    correction: Correction,
}

impl Middle {
    fn new(context: &ImageContext, label: &str, grad: &Tensor) -> Result<Self, GpuError> {
        let ImageContext { gpu, slices, scratch, .. } = context;
        let value = gpu.tensor(label, context.maps, grad.shape())?;
        let map = Map { value: Channels::whole(&value), grad: Channels::whole(grad) };
        let of_map = MapStatistics::new(gpu, label, map.value.count)?;
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
    /// The 1x1 units of the first three branches.
    bottlenecks: Bottlenecks,
    /// Of the second and third branch: the kernel over the bottleneck's map.
    branches: [Unit; 2],
    branch_pool: PooledBranch,
    middle: [Middle; 2],
    statistics: ChannelStatistics,
    correction: Correction,
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

    /// Prepares block `name`, number `index` of those that `map` has.
    pub fn new(
        context: &ImageContext,
        parameters: &Parameters,
        name: &str,
        index: usize,
        kernels: [usize; 2],
        map: &BroadcastMap,
    ) -> Result<Self, GpuError> {
        let ImageContext { gpu, slices, scratch, .. } = context;
        let BroadcastMap { statistics, rooms, pooled_tiles, .. } = map;
        let sources = &map.sources[..=index];
        let output = &map.sources[index + 1].map;
        let width = output.value.count / 4;
        let inputs: usize = sources.iter().map(|s| s.map.value.count).sum();
        let mel = output.value.tensor.shape()[2];
        let middle = [0, 1].map(|i| Middle::new(context, &branch(kernels[i]), &rooms[i]));
        let [one, two] = middle;
        let middle = [one?, two?];
        // The transition reads every source and runs backward first, so the blocks add.
        let values =
            UnitInput { sources: sources.iter().map(|s| (&s.map, Gradient::Add)).collect(), statistics: &statistics.values };
        // The last block is the first to say what the maxima's gradients are.
        let gradient = if index + 1 == map.blocks() { Gradient::Write } else { Gradient::Add };
        // The block's channels follow those that it reads.
        let parts = [0, 1, 2, 3].map(|part| output.part(part * width, width));
        let part = |place: usize| UnitOutput { map: &parts[place], statistics: (&statistics.values, inputs + place * width) };
        let to_middle = |i: usize| UnitOutput { map: &middle[i].map, statistics: (&middle[i].of_map, 0) };
        let square = |kernel: usize, middle: &Middle, place: usize| {
            let input = UnitInput { sources: vec![(&middle.map, Gradient::Write)], statistics: &middle.of_map };
            let name = format!("{name}.{}.1", branch(kernel));
            Unit::new(context, parameters, &name, Self::shape(mel, kernel, width, width), &input, &part(place))
        };
        let [one, two] = kernels.map(|kernel| format!("{name}.{}.0", branch(kernel)));
        let names = [format!("{name}.branch1x1"), one, two];
        let MapStatistics { moments, corrections } = &statistics.values;
        Ok(Self {
            mel,
            bottlenecks: Bottlenecks::new(
                context,
                parameters,
                &names,
                Self::shape(mel, 1, inputs, width),
                &values,
                &[part(0), to_middle(0), to_middle(1)],
            )?,
            branches: [square(kernels[0], &middle[0], 1)?, square(kernels[1], &middle[1], 2)?],
            branch_pool: PooledBranch::new(
                context,
                parameters,
                &format!("{name}.branch_pool"),
                *pooled_tiles,
                sources,
                &statistics.pooled,
                gradient,
                part(3),
            )?,
            statistics: ChannelStatistics::new(gpu, &output.value, *slices, moments, inputs, EPSILON, scratch)?,
            correction: Correction::new(gpu, &output.value, &output.grad, *slices, moments, corrections, inputs)?,
            middle,
        })
    }

    /// Fills the block's source and its statistics. `size.frames` are the map's.
    pub fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        let rows = size.frames * self.mel;
        let training = mode != Mode::Evaluate;
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
        branches && self.bottlenecks.brings_statistics() && self.branch_pool.brings_statistics()
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
    }
}
