//! The levels of a recurrent stack as a wavefront: while one level goes through a chunk of the steps, the level above goes
//! through the chunk before it, in the same dispatch.
//!
//! Of the kernels that keep weights on chip (see [`RecurrenceVariant::Register`]) a level has a workgroup for each sequence: few
//! beside what hardware has room for. Level after level they would take levels * time; a wavefront of C chunks takes
//! (levels + C - 1) / C * time. Before a dispatch of recurrences comes one with the products that they wait for
//! (`wavefront.wgsl`). All levels lie in the same tensors: (level, time, batch, features).

use super::recurrence::{MOST_CELLS, RecurrenceMemory, SOFTWARE_TURNS};
use super::recurrence_matrix::PackedHalves;
use super::recurrent_layer::RecurrentProducts;
use super::wavefront_products::{BoundaryProducts, Transpose};
use super::wavefront_schedule::{Chunk, schedule};
use super::{
    Cell, Channels, Direction, Layer, Map, Mode, Parameters, ProductTile, RecurrenceTensors, RecurrenceVariant, RecurrentShape,
    SequenceContext, Size,
};
use crate::gpu::{Dispatch, Element, Gpu, GpuError, Grid, Pass, Tensor};

/// How a stack goes through time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WavefrontPlan {
    /// The recurrence's kernels, forward and backward: such as take several levels.
    pub variants: [RecurrenceVariant; 2],
    /// Parts of the steps of a full sequence.
    pub chunks: usize,
    /// Levels in one dispatch, at most: 8 at most.
    pub width: usize,
    /// Of the products between levels.
    pub tile: ProductTile,
}

/// As `wavefront of 8 chunks, 4 levels at once, products 64x64x4`.
impl std::fmt::Display for WavefrontPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { chunks, width, tile, .. } = self;
        write!(f, "wavefront of {chunks} chunks, {width} levels at once, products {tile}")
    }
}

/// The tensors of a stack, and the sizes that it is built for.
pub(super) struct StackTensors {
    shape: RecurrentShape,
    pub(super) levels: usize,
    pub(super) hidden: usize,
    /// Of the projections: gates * hidden.
    pub(super) columns: usize,
    frames: usize,
    batch: usize,
    /// Rows (time, batch) from one level to the next.
    pub(super) level_rows: usize,
    /// (level, time, batch, hidden)
    pub(super) h: Tensor,
    pub(super) dh: Tensor,
    /// (level, time, batch, columns): projections, the gradients that take their places, and those at what states bring.
    pub(super) a: Tensor,
    pub(super) da: Tensor,
    dhidden: Tensor,
}

impl StackTensors {
    fn new(context: &SequenceContext<'_>, shape: RecurrentShape, levels: usize) -> Result<Self, GpuError> {
        let SequenceContext { gpu, frames, batch, .. } = *context;
        let (hidden, columns, level_rows) = (shape.hidden, shape.cell.gates() * shape.hidden, level_rows(frames, batch));
        let tensor = |label: &str, features| gpu.tensor(label, Element::F32, &[levels * level_rows, features]);
        let a = tensor("projections", columns)?;
        let dhidden = if shape.cell == Cell::Gru { tensor("d states' part of the gates", columns)? } else { a.clone() };
        let (h, dh, da) = (tensor("levels", hidden)?, tensor("d levels", hidden)?, a.clone());
        Ok(Self { shape, levels, hidden, columns, frames, batch, level_rows, h, dh, a, da, dhidden })
    }

    /// One level of one of them: (time, batch, features).
    pub(super) fn level(&self, tensor: &Tensor, level: usize) -> Tensor {
        let features = tensor.shape()[1];
        tensor.view(level * self.level_rows * features, &[self.frames, self.batch, features])
    }

    /// All levels but the first.
    pub(super) fn above(&self, tensor: &Tensor) -> Tensor {
        let first = self.level_rows * tensor.shape()[1];
        tensor.view(first, &[tensor.elements() - first])
    }

    /// The `which`-th of a level's parameters, of the levels from `first` on, and the elements from one to the next: all lie in
    /// one buffer, and these levels are alike.
    pub(super) fn parameters(&self, parameters: &Parameters, which: usize, first: usize) -> (Tensor, usize) {
        let of = |level| self.shape.parameters(parameters, level)[which].value.clone();
        let start = |level| of(level).offset() as usize / Element::F32.bytes();
        let last = self.levels - 1;
        let apart = if last > first { start(first + 1) - start(first) } else { 0 };
        assert!((first..last).all(|level| start(level + 1) - start(level) == apart), "levels lie evenly");
        let whole = parameters.values().whole();
        let begin = start(first) - whole.offset() as usize / Element::F32.bytes();
        (whole.view(begin, &[(last - first) * apart + of(last).elements()]), apart)
    }
}

fn level_rows(frames: usize, batch: usize) -> usize {
    // Wherever a level begins, an adapter can bind it.
    (frames * batch).next_multiple_of(64)
}

/// How far a dispatch goes.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    pub(super) size: Size,
    /// Of a chunk.
    pub(super) steps: usize,
}

impl Ahead {
    /// Rows (time, batch) of these chunks, of which the last of a level may be shorter.
    pub(super) fn rows(self, chunks: &[Chunk]) -> usize {
        let of = |chunk: &Chunk| self.steps.min(self.size.frames - chunk.number * self.steps);
        chunks.iter().map(of).sum::<usize>() * self.size.batch
    }

    pub(super) fn immediates(self, chunks: &[Chunk]) -> [u32; 4 + MOST_CELLS] {
        let mut words = [0; 4 + MOST_CELLS];
        words[..4].copy_from_slice(&[self.size.batch, self.size.frames, 0, self.steps].map(|number| number as u32));
        for (word, chunk) in words[4..].iter_mut().zip(chunks) {
            *word = (chunk.level << 16 | chunk.number) as u32;
        }
        words
    }
}

/// Levels of one cell, (time, batch, inputs) to (time, batch, hidden), with dropout between them where there is any.
pub struct Wavefront {
    plan: WavefrontPlan,
    levels: usize,
    /// Operations of a step of one sequence, and turns that loops take in it, forward and backward.
    work: usize,
    turns: [usize; 2],
    most_turns: usize,
    forward: Dispatch,
    backward: Dispatch,
    boundaries: Option<BoundaryProducts>,
    halves: Option<PackedHalves>,
    transposes: Vec<Transpose>,
    products: Vec<RecurrentProducts>,
    top: Map,
}

impl Wavefront {
    /// Whether an adapter takes a stack of that size: one tensor has all its levels.
    pub fn fits(gpu: &Gpu, capacity: Size, shape: RecurrentShape, levels: usize) -> bool {
        let rows = levels * level_rows(capacity.frames, capacity.batch);
        // Gates are saved in fours.
        let features = if shape.cell.gates() > 1 { 4 * shape.hidden } else { shape.hidden };
        (rows * features * Element::F32.bytes()) as u64 <= gpu.summary().max_binding_bytes && levels < 1 << 15
    }

    /// Prepares the kernels over tensors of its own; `shape` is the first level's, and `x` gets no gradient. Takes a stream of
    /// dropout for each level but the top.
    pub fn new(
        context: &SequenceContext<'_>,
        plan: WavefrontPlan,
        shape: RecurrentShape,
        levels: usize,
        x: &Channels,
    ) -> Result<Self, GpuError> {
        let SequenceContext { gpu, parameters, scratch, batch, .. } = *context;
        assert!(levels > 0 && (1..=MOST_CELLS).contains(&plan.width) && plan.chunks > 0, "{levels} levels, {plan}");
        let tensors = StackTensors::new(context, shape, levels)?;
        let StackTensors { hidden, columns, level_rows, .. } = tensors;
        let on_side = |label: &str, count: usize| gpu.tensor(label, Element::F32, &[count * columns * hidden]);
        let (weight, apart) = tensors.parameters(parameters, 1, 0);
        let (bias, bias_apart) = tensors.parameters(parameters, 3, 0);
        let sides = [columns, hidden];
        let (variants, elements) = (plan.variants, columns * hidden);
        let halves = match variants.iter().any(|variant| variant.is_matrix()) {
            true => Some(PackedHalves::new(gpu, &weight, levels, elements, apart)?),
            false => None,
        };
        // The recurrent weights as each direction reads them, and elements from one level's to the next. Matrix units turn them on
        // their own.
        let mut transposes = Vec::new();
        let halves_for = |direction: Direction| {
            halves.as_ref().filter(|_| variants[direction as usize].is_matrix()).map(|h| h.weights.clone())
        };
        let weight_forward = halves_for(Direction::Forward).map_or((weight.clone(), apart), |halves| (halves, elements));
        let weight_backward = match halves_for(Direction::Backward) {
            Some(halves) => halves,
            None => {
                let turned = on_side("recurrent weights", levels)?;
                transposes.push(Transpose::new(gpu, sides, levels, (&weight, apart), &turned)?);
                turned
            }
        };

        let StackTensors { a, h, dh, da, dhidden, .. } = &tensors;
        let of_all = RecurrenceTensors { a, h, dh, da, dhidden, weight: &weight, bias: &bias };
        let memory = RecurrenceMemory::new(gpu, shape.cell, levels * level_rows, levels * batch, hidden)?;
        let [forward, backward] = memory.bindings(shape.cell, &of_all);
        let kernel = |direction: Direction, (weight, apart): (&Tensor, usize), tensors: &[(&str, &Tensor)]| {
            let place = direction as usize;
            let mut constants = variants[place].constants(shape.cell, hidden, batch);
            constants.extend([
                ("LEVEL_ROWS", level_rows.into()),
                ("LEVEL_WEIGHT", (apart / 4).into()),
                ("LEVEL_BIAS", bias_apart.into()),
            ]);
            let tensors = [tensors, &[("weight", weight)]].concat();
            variants[place].shader(shape.cell).dispatch(gpu, ["forward", "backward"][place], &constants, &tensors)
        };
        let forward = kernel(Direction::Forward, (&weight_forward.0, weight_forward.1), &forward)?;
        let backward = kernel(Direction::Backward, (&weight_backward, elements), &backward)?;

        let (mut boundaries, mut read) = (None, vec![x.clone()]);
        if levels > 1 {
            let (weight, apart) = tensors.parameters(parameters, 0, 1);
            let input_on_side = on_side("input weights", levels - 1)?;
            transposes.push(Transpose::new(gpu, sides, levels - 1, (&weight, apart), &input_on_side)?);
            let (products, between) = BoundaryProducts::new(context, plan, &tensors, &input_on_side)?;
            read.extend(between.iter().map(Channels::whole));
            boundaries = Some(products);
        }
        let products = read.iter().enumerate().map(|(level, x)| {
            let [a, h, dh, da, dhidden] = [a, h, dh, da, dhidden].map(|tensor| tensors.level(tensor, level));
            let shape = RecurrentShape { inputs: x.count, ..shape };
            let [_, weight, _, bias] = shape.parameters(parameters, level).map(|parameter| parameter.value);
            let of_level = RecurrenceTensors { a: &a, h: &h, dh: &dh, da: &da, dhidden: &dhidden, weight: &weight, bias: &bias };
            RecurrentProducts::new(gpu, parameters, shape, level, x, None, &of_level, scratch)
        });
        let of_top = |tensor| Channels::whole(&tensors.level(tensor, levels - 1));
        Ok(Self {
            plan,
            levels,
            work: 2 * columns * (hidden + 16),
            turns: Direction::BOTH.map(|direction| variants[direction as usize].turns(shape.cell, hidden, batch, direction)),
            most_turns: if gpu.summary().is_software() { SOFTWARE_TURNS } else { usize::MAX },
            forward,
            backward,
            boundaries,
            halves,
            transposes,
            products: products.collect::<Result<_, _>>()?,
            top: Map { value: of_top(h), grad: of_top(dh) },
        })
    }

    /// The states of the top level, and where backward finds their gradient.
    pub fn top(&self) -> &Map {
        &self.top
    }

    /// Another way through time by the same kernels.
    pub(super) fn replan(&mut self, plan: WavefrontPlan) {
        assert!(plan.variants == self.plan.variants && plan.tile == self.plan.tile, "{plan} has other kernels");
        self.plan = plan;
    }

    /// Steps of a chunk: fewer where loops or submissions would be too long.
    fn ahead(&self, pass: &Pass<'_>, size: Size, direction: Direction) -> Ahead {
        let by_turns = self.most_turns / self.turns[direction as usize];
        let by_time = pass.work_per_submission() / (self.plan.width * size.batch * self.work) as f64;
        let steps = size.frames.div_ceil(self.plan.chunks).min(by_turns).min(by_time as usize).max(1);
        // Numbers of chunks have 16 bits.
        Ahead { size, steps: steps.max(size.frames.div_ceil(1 << 16)) }
    }

    fn recurrences(&self, pass: &mut Pass<'_>, direction: Direction, ahead: Ahead, chunks: &[Chunk]) {
        let kernel = if direction == Direction::Forward { &self.forward } else { &self.backward };
        let rows = self.plan.variants[direction as usize].rows(ahead.size.batch);
        let grid = Grid::plane(ahead.size.batch.div_ceil(rows), chunks.len());
        pass.run(kernel, grid, &ahead.immediates(chunks), ahead.rows(chunks) * self.work);
    }

    /// Calls `record` with the chunks of each dispatch, of levels in the order of the way.
    fn each(&self, ahead: Ahead, mut record: impl FnMut(&[Chunk])) {
        let chunks = ahead.size.frames.div_ceil(ahead.steps);
        schedule(self.levels, chunks, self.plan.width).iter().for_each(|chunks| record(chunks));
    }
}

impl Layer for Wavefront {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        let ahead = self.ahead(pass, size, Direction::Forward);
        self.products[0].project(pass, size);
        self.halves.iter().for_each(|halves| halves.run(pass));
        self.boundaries.iter().for_each(|boundaries| boundaries.draw(pass, size, mode));
        self.each(ahead, |chunks| {
            if let Some(boundaries) = &self.boundaries {
                let below = chunks.iter().filter(|chunk| chunk.level > 0);
                let below: Vec<_> = below.map(|chunk| Chunk { level: chunk.level - 1, ..*chunk }).collect();
                boundaries.forward(pass, ahead, &below);
            }
            self.recurrences(pass, Direction::Forward, ahead, chunks);
        });
        self.boundaries.iter().for_each(|boundaries| boundaries.drop_out(pass, size, mode));
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        let ahead = self.ahead(pass, size, Direction::Backward);
        let top = self.levels - 1;
        self.transposes.iter().for_each(|transpose| transpose.run(pass));
        self.each(ahead, |chunks| {
            let chunks: Vec<_> = chunks.iter().map(|chunk| Chunk { level: top - chunk.level, ..*chunk }).collect();
            if let Some(boundaries) = &self.boundaries {
                let below: Vec<_> = chunks.iter().copied().filter(|chunk| chunk.level < top).collect();
                boundaries.backward(pass, ahead, &below);
            }
            self.recurrences(pass, Direction::Backward, ahead, &chunks);
        });
        self.products.iter().rev().for_each(|products| products.backward(pass, size));
    }
}
