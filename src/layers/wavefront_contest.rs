//! Whether hardware runs the levels of a recurrent stack one after the other or as a wavefront, and in how many chunks.

use super::contest::{Written, timed, wave};
use super::convolution_variant::Operation;
use super::{
    Channels, Declarations, DropoutSeed, Layer, Mode, Parameters, ProductTile, RecurrenceVariant, RecurrentShape, RecurrentStack,
    SequenceContext, Size, StackOrder, Wavefront, WavefrontPlan,
};
use crate::gpu::{Contest, Element, Gpu, GpuError, Precision};
use std::time::Duration;

/// Parts of a sequence that are tried: more of them fill the adapter better and take more dispatches.
const CHUNKS: [usize; 4] = [4, 8, 16, 32];
/// Steps of a chunk, at least.
const FEWEST_STEPS: usize = 8;
/// Levels at once besides all of them: where a multiprocessor has room for one workgroup, all may be a few too many.
const WIDTHS: [usize; 3] = [2, 3, 4];
const MOST_WIDTH: usize = 8;
/// Tiles of the products between levels, and those for matrix units.
const TILES: [[usize; 3]; 2] = [[64, 64, 1], [128, 64, 2]];
const MATRICES: [ProductTile; 2] = [ProductTile::matrix([64, 64, 32, 2, 2]), ProductTile::matrix([128, 64, 16, 4, 2])];
/// Longer sequences are measured over their first steps.
const MOST_FRAMES: usize = 1024;
/// Bytes of the tensors that are measured with, about: beyond that nothing is measured.
const MOST_BYTES: usize = 4 << 30;

impl WavefrontPlan {
    /// Those that run on the adapter with kernels of `layouts`.
    pub fn available(
        gpu: &Gpu,
        capacity: Size,
        shape: RecurrentShape,
        levels: usize,
        variants: [RecurrenceVariant; 2],
    ) -> Vec<Self> {
        if !variants.iter().all(|variant| variant.takes_levels()) || levels < 2 || !Wavefront::fits(gpu, capacity, shape, levels)
        {
            return Vec::new();
        }
        let all = levels.min(MOST_WIDTH);
        let widths: Vec<usize> = WIDTHS.into_iter().filter(|width| *width < all).chain([all]).collect();
        let tiles = tiles(gpu);
        let mut plans = Vec::new();
        for chunks in CHUNKS.into_iter().filter(|chunks| capacity.frames >= chunks * FEWEST_STEPS) {
            for &width in &widths {
                let plan = |tile| Self { variants, chunks, width, tile };
                plans.extend(tiles.iter().copied().map(plan));
            }
        }
        plans
    }
}

/// The tiles that the adapter takes in the handle's precision.
fn tiles(gpu: &Gpu) -> Vec<ProductTile> {
    let fits = |tile: &[usize; 3]| tile_bytes(*tile) <= gpu.summary().workgroup_bytes as usize;
    let mut tiles: Vec<_> = TILES.into_iter().filter(fits).map(ProductTile::tiled).collect();
    if gpu.precision() == Precision::Mixed && gpu.has_matrix_units() {
        tiles.extend(MATRICES.into_iter().filter(|tile| tile.fits(gpu, Operation::Forward)));
    }
    tiles
}

/// Workgroup memory of `wavefront.wgsl`: two buffers of 16 steps of both operands, the left with a vector of padding.
fn tile_bytes([rows, columns, _]: [usize; 3]) -> usize {
    2 * 16 * 4 * (rows + 4 + columns)
}

/// The order that the adapter gets: measured on hardware, wherever single levels get kernels that can take part.
pub(super) fn choose(context: &SequenceContext<'_>, shape: RecurrentShape, levels: usize) -> StackOrder {
    let SequenceContext { gpu, frames, batch, dropout, .. } = *context;
    let capacity = Size { batch, frames };
    let variants = RecurrenceVariant::choose(gpu, shape.cell, capacity, shape.hidden);
    let one_by_one = StackOrder::Levels(variants);
    let features = shape.cell.gates() * shape.hidden * 2 + shape.hidden * 3;
    let measured = Size { frames: frames.min(MOST_FRAMES), ..capacity };
    // The levels one after the other, and a wavefront for each tile.
    let stacks = 1 + tiles(gpu).len();
    let bytes = stacks * levels * measured.frames * batch * features * Element::F32.bytes();
    if gpu.runtime_checks() || !gpu.chooses_kernels() || bytes > MOST_BYTES {
        return one_by_one;
    }
    let plans = WavefrontPlan::available(gpu, capacity, shape, levels, variants);
    let orders: Vec<_> = std::iter::once(one_by_one).chain(plans.into_iter().map(StackOrder::Wavefront)).collect();
    let names: Vec<String> = orders.iter().map(ToString::to_string).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let RecurrentShape { cell, inputs, hidden } = shape;
    let mixed = if gpu.precision() == Precision::Mixed { ", mixed" } else { "" };
    let dropped = if dropout.p > 0.0 { ", dropout" } else { "" };
    let key = format!("{levels} levels of {cell:?}, {frames} frames x {batch} x {inputs} -> {hidden}{dropped}{mixed}");
    orders[gpu.choose(&key.to_lowercase(), &names, || Trial::new(gpu, measured, shape, levels, dropout.p, &orders))]
}

/// A stack as each candidate runs it, forward and backward: all candidates of one tile are one stack, whose plan changes.
struct Trial<'o> {
    gpu: Gpu,
    size: Size,
    orders: &'o [StackOrder],
    parameters: Parameters,
    /// By tile, none for the levels one after the other; none of a tile that a driver does not take.
    stacks: Vec<(Option<ProductTile>, Option<RecurrentStack>)>,
}

impl<'o> Trial<'o> {
    fn new(
        gpu: &Gpu,
        size: Size,
        shape: RecurrentShape,
        levels: usize,
        p: f32,
        orders: &'o [StackOrder],
    ) -> Result<Self, GpuError> {
        let mut declarations = Declarations::default();
        let above = RecurrentShape { inputs: shape.hidden, ..shape };
        (0..levels).for_each(|level| if level == 0 { shape } else { above }.declare(&mut declarations, level));
        let parameters = Parameters::new(gpu, declarations)?;
        // As a network begins: differences of rounding fade.
        wave(gpu, parameters.values().whole(), 1.9, (shape.hidden as f32).sqrt().recip());
        let x = gpu.tensor("measured input", Element::F32, &[size.frames, size.batch, shape.inputs])?;
        wave(gpu, &x, 0.7, 1.0);
        let seed = gpu.tensor("measured seed", Element::U32, &[2])?;
        gpu.write(&seed, &[1u32, 2]);
        let scratch = gpu.tensor("measured sums", Element::F32, &[shape.scratch().max(above.scratch())])?;
        let mut stacks: Vec<(Option<ProductTile>, Option<RecurrentStack>)> = Vec::new();
        for &order in orders {
            if stacks.iter().any(|(tile, _)| *tile == tile_of(order)) {
                continue;
            }
            let dropout = DropoutSeed { p, seed: &seed, streams: &std::cell::Cell::new(0) };
            let context = SequenceContext {
                gpu,
                parameters: &parameters,
                scratch: &scratch,
                frames: size.frames,
                batch: size.batch,
                dropout,
            };
            let stack = match RecurrentStack::with_order(&context, order, shape, levels, &Channels::whole(&x)) {
                Err(error) if !stacks.is_empty() => {
                    tracing::warn!(%order, %error, "kernels cannot be prepared: not used");
                    None
                }
                stack => Some(stack?),
            };
            stack.iter().for_each(|stack| wave(gpu, &stack.top().grad.tensor, 0.3, 1.0));
            stacks.push((tile_of(order), stack));
        }
        Ok(Self { gpu: gpu.clone(), size, orders, parameters, stacks })
    }

    fn run(&mut self, candidate: usize) -> Result<Duration, GpuError> {
        let (tile, size) = (tile_of(self.orders[candidate]), self.size);
        let stack = self.stacks.iter_mut().find(|(other, _)| *other == tile);
        let Some(stack) = stack.and_then(|(_, stack)| stack.as_mut()) else { return Ok(Duration::MAX) };
        if let StackOrder::Wavefront(plan) = self.orders[candidate] {
            stack.replan(plan);
        }
        timed(&self.gpu, 1, |pass| {
            stack.forward(pass, size, Mode::Train);
            stack.backward(pass, size);
        })
    }

    /// The states of the top and the gradient of each parameter.
    fn written(&self, candidate: usize) -> Written {
        let tile = tile_of(self.orders[candidate]);
        let stack = self.stacks.iter().find(|(other, _)| *other == tile).and_then(|(_, stack)| stack.as_ref());
        let top = stack.map(|stack| stack.top().value.tensor.clone());
        let names = self.parameters.declarations().parameters.iter();
        let gradients = names.map(|spec| self.parameters.parameter(&spec.name).grad);
        Written::plain(top.into_iter().chain(gradients))
    }

    fn results(&mut self, candidate: usize) -> Result<Vec<Vec<f32>>, GpuError> {
        let (gpu, written) = (self.gpu.clone(), self.written(candidate));
        written.results(&gpu, || self.run(candidate))
    }
}

fn tile_of(order: StackOrder) -> Option<ProductTile> {
    match order {
        StackOrder::Levels(_) => None,
        StackOrder::Wavefront(plan) => Some(plan.tile),
    }
}

impl Contest for Trial<'_> {
    fn time(&mut self, candidate: usize) -> Result<Duration, GpuError> {
        self.run(candidate)
    }

    fn agrees(&mut self, candidate: usize) -> Result<bool, GpuError> {
        let (expected, actual) = (self.results(0)?, self.results(candidate)?);
        Ok(self.written(0).agree(&expected, &actual))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::GpuOptions;
    use crate::layers::{Cell, Direction};

    #[test]
    #[allow(clippy::unwrap_used)]
    fn wavefronts_agree_with_level_after_level_and_take_time() {
        let gpu = Gpu::open(&GpuOptions { emulate_matrix_units: true, ..GpuOptions::default() }).unwrap();
        let (size, levels) = (Size { batch: 3, frames: 70 }, 3);
        for (cell, p, precision) in
            [(Cell::RnnTanh, 0.0, Precision::F32), (Cell::Lstm, 0.3, Precision::F32), (Cell::Gru, 0.0, Precision::Mixed)]
        {
            let gpu = gpu.with_precision(precision);
            let shape = RecurrentShape { cell, inputs: 12, hidden: 20 };
            let [forward, backward] = Direction::BOTH.map(|direction| {
                let variants = RecurrenceVariant::available(&gpu, cell, shape.hidden, direction);
                variants.into_iter().find(|variant| variant.is_register()).unwrap()
            });
            let plans = WavefrontPlan::available(&gpu, size, shape, levels, [forward, backward]);
            // 4 and 8 chunks, 2 or all of 3 levels; of matrices two more tiles.
            let tiles = if precision == Precision::Mixed { 4 } else { 2 };
            assert_eq!(plans.len(), 4 * tiles);
            let plain = RecurrenceVariant::available(&gpu, cell, shape.hidden, Direction::Forward)[0];
            let orders: Vec<_> =
                std::iter::once(StackOrder::Levels([plain; 2])).chain(plans.into_iter().map(StackOrder::Wavefront)).collect();
            let mut trial = Trial::new(&gpu, size, shape, levels, p, &orders).unwrap();
            assert_eq!(trial.stacks.len(), 1 + tiles);
            for (candidate, order) in orders.iter().enumerate() {
                assert!(trial.agrees(candidate).unwrap(), "{cell:?}: {order}");
                assert!(trial.time(candidate).unwrap() > Duration::ZERO);
            }
            // What is wrong does not agree.
            let results = trial.results(0).unwrap();
            assert!(results.iter().all(|values| values.iter().any(|value| *value != 0.0)));
        }
    }
}
