//! Launcher of `rnn.wgsl`, `lstm.wgsl`, `gru.wgsl` and their variants: a recurrence alone, given its projected input.

use super::recurrence_matrix::PackedHalves;
use super::{Direction, RecurrenceVariant, Size};
use crate::gpu::{Constant, Dispatch, Element, Gpu, GpuError, Grid, Pass, Tensor};

/// Hardware gets one dispatch per step, spread over all units, from this width on: a workgroup alone would read the whole
/// weight in every step. Not measured.
const SPREAD_HIDDEN: usize = 1024;
/// Levels of a stack that a dispatch of a register kernel takes.
pub(super) const MOST_CELLS: usize = 8;
/// Lavapipe ends every loop of an invocation after 65,535 turns in all, without a word: half of that leaves room for
/// turns that are not counted here.
pub(super) const SOFTWARE_TURNS: usize = 1 << 15;

/// The equations of a recurrence: PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// Elman network with tanh.
    RnnTanh,
    /// Elman network with ReLU.
    RnnRelu,
    /// Long Short-Term Memory; gates i, f, g, o.
    Lstm,
    /// Gated Recurrent Unit; gates r, z, n.
    Gru,
}

impl Cell {
    /// Columns of the weights per unit.
    pub fn gates(self) -> usize {
        match self {
            Self::RnnTanh | Self::RnnRelu => 1,
            Self::Lstm => 4,
            Self::Gru => 3,
        }
    }
}

/// What a recurrence reads and writes, time outermost, the batch's rows one after the other in each step.
pub struct RecurrenceTensors<'a> {
    /// The projected input (time, batch, gates * hidden), `W_ih x + b_ih`.
    pub a: &'a Tensor,
    /// The states (time, batch, hidden).
    pub h: &'a Tensor,
    /// Their gradient.
    pub dh: &'a Tensor,
    /// The gradient of `a`; may be `a` itself, which backward does not read.
    pub da: &'a Tensor,
    /// The gradient at what the state brings to the gates, of the same shape; `da` itself but for a GRU.
    pub dhidden: &'a Tensor,
    /// The recurrent weight (hidden, gates * hidden).
    pub weight: &'a Tensor,
    /// Its bias (gates * hidden).
    pub bias: &'a Tensor,
}

/// What forward leaves for backward, and what backward's dispatches leave for each other.
pub(super) struct RecurrenceMemory {
    /// (time, batch, hidden, 4), of an LSTM or GRU; the cells (time, batch, hidden) of an LSTM.
    saved: Vec<(&'static str, Tensor)>,
    /// (batch, hidden)
    carried: Tensor,
}

impl RecurrenceMemory {
    /// For `rows` rows (time, batch), of all levels that share the tensors, and `batch` rows of a step of all of them.
    pub(super) fn new(gpu: &Gpu, cell: Cell, rows: usize, batch: usize, hidden: usize) -> Result<Self, GpuError> {
        let float = |label: &str, shape: &[usize]| gpu.tensor(label, Element::F32, shape);
        let mut saved = Vec::new();
        if cell.gates() > 1 {
            saved.push(("gates", float("gates", &[rows, hidden, 4])?));
        }
        if cell == Cell::Lstm {
            saved.push(("c", float("cells", &[rows, hidden])?));
        }
        Ok(Self { saved, carried: float("carried", &[batch, hidden])? })
    }

    /// All that the kernels of each direction bind but the weight.
    pub(super) fn bindings<'a>(&'a self, cell: Cell, tensors: &RecurrenceTensors<'a>) -> [Vec<(&'static str, &'a Tensor)>; 2] {
        let RecurrenceTensors { a, h, dh, da, dhidden, bias, .. } = *tensors;
        let mut forward = vec![("a", a), ("bias", bias), ("h", h)];
        let mut backward = vec![("dh", dh), ("dhidden", dhidden)];
        backward.extend((cell != Cell::Lstm).then_some(("h", h)));
        backward.extend((cell == Cell::Gru).then_some(("da", da)));
        for (name, tensor) in &self.saved {
            forward.push((*name, tensor));
            backward.push((*name, tensor));
        }
        backward.extend((cell.gates() > 1).then_some(("carried", &self.carried)));
        [forward, backward]
    }
}

/// A recurrence over whole sequences, prepared over its tensors.
pub struct Recurrence {
    cell: Cell,
    hidden: usize,
    /// The most turns that an invocation's loops may take in a dispatch, and the most steps.
    most_turns: usize,
    most_steps: usize,
    forward: Way,
    backward: Way,
}

/// One direction.
struct Way {
    kernel: Dispatch,
    pack: Option<Pack>,
    /// Rows of the batch of a workgroup, and units that it owns at a time.
    rows: usize,
    tile: usize,
    /// Turns that an invocation's loops take in one step.
    turns: usize,
    /// Words of the immediates.
    words: usize,
}

impl Recurrence {
    /// Prepares the kernels of a variant for each direction, forward first.
    pub fn new(
        gpu: &Gpu,
        variants: [RecurrenceVariant; 2],
        cell: Cell,
        tensors: &RecurrenceTensors<'_>,
    ) -> Result<Self, GpuError> {
        let RecurrenceTensors { h, weight, .. } = *tensors;
        let &[frames, batch, hidden] = h.shape() else { panic!("states are (time, batch, hidden), not {:?}", h.shape()) };
        let gates = cell.gates();
        assert_eq!(weight.elements(), hidden * gates * hidden, "the recurrent weight is (hidden, gates * hidden)");
        let memory = RecurrenceMemory::new(gpu, cell, frames * batch, batch, hidden)?;
        let [forward, backward] = memory.bindings(cell, tensors);

        let way = |direction, entry, variant: RecurrenceVariant, tensors: &[(&str, &Tensor)]| {
            let packed = Packed::new(gpu, variant, direction, cell, hidden, weight)?;
            let weights = packed.weights.iter().map(|(name, weight)| (*name, weight));
            let tensors: Vec<_> = tensors.iter().copied().chain(weights).collect();
            let mut constants = variant.constants(cell, hidden, batch);
            constants.extend(packed.constant);
            Ok::<_, GpuError>(Way {
                kernel: variant.shader(cell).dispatch(gpu, entry, &constants, &tensors)?,
                pack: packed.kernel,
                rows: variant.rows(batch),
                tile: variant.tile(cell, hidden, direction),
                turns: variant.turns(cell, hidden, batch, direction),
                // One level at its first chunk: zeros.
                words: if variant.takes_levels() { 4 + MOST_CELLS } else { 4 },
            })
        };
        let software = gpu.summary().is_software();
        Ok(Self {
            cell,
            hidden,
            most_turns: if software { SOFTWARE_TURNS } else { usize::MAX },
            most_steps: if software || hidden < SPREAD_HIDDEN { usize::MAX } else { 1 },
            forward: way(Direction::Forward, "forward", variants[0], &forward)?,
            backward: way(Direction::Backward, "backward", variants[1], &backward)?,
        })
    }

    /// With at most so many steps in a dispatch, to try cutting where nothing demands it.
    pub fn at_most(mut self, steps: usize) -> Self {
        self.most_steps = steps.max(1);
        self
    }

    /// h from a.
    pub fn forward(&self, pass: &mut Pass<'_>, size: Size) {
        self.run(pass, size, &self.forward);
    }

    /// da and dhidden from dh and what the last forward left.
    pub fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.run(pass, size, &self.backward);
    }

    /// All steps, in as many dispatches as their length demands: state passes through storage, so that cuts change nothing.
    fn run(&self, pass: &mut Pass<'_>, size: Size, way: &Way) {
        match &way.pack {
            Some(Pack::Kernel(pack, elements)) => pass.run(pack, Grid::threads(*elements, 64), &[], *elements),
            Some(Pack::Halves(halves)) => halves.run(pass),
            None => {}
        }
        let work = 2 * size.batch * self.cell.gates() * self.hidden * (self.hidden + 16);
        let by_time = (pass.work_per_submission() / work as f64) as usize;
        let by_turns = self.most_turns / way.turns;
        let longest = by_time.min(by_turns).min(self.most_steps).max(1);
        // Within one step tiles are independent.
        let tiles = if longest == 1 { self.hidden.div_ceil(way.tile) } else { 1 };
        let grid = Grid::plane(size.batch.div_ceil(way.rows), tiles);
        for done in (0..size.frames).step_by(longest) {
            let steps = longest.min(size.frames - done);
            let mut immediates = [0; 4 + MOST_CELLS];
            immediates[..4].copy_from_slice(&[size.batch, size.frames, done, steps].map(|number| number as u32));
            pass.run(&way.kernel, grid, &immediates[..way.words], work * steps);
        }
    }
}

/// What lays the weight out anew.
enum Pack {
    /// The kernel, and the elements that it writes.
    Kernel(Dispatch, usize),
    Halves(PackedHalves),
}

/// The weight as a kernel reads it.
struct Packed {
    /// It or its parts, by what the kernel calls them.
    weights: Vec<(&'static str, Tensor)>,
    /// Absent where that is the weight itself.
    kernel: Option<Pack>,
    /// What the kernel must know of it.
    constant: Option<(&'static str, Constant)>,
}

impl Packed {
    fn new(
        gpu: &Gpu,
        variant: RecurrenceVariant,
        direction: Direction,
        cell: Cell,
        hidden: usize,
        weight: &Tensor,
    ) -> Result<Self, GpuError> {
        let gates = cell.gates();
        let into = |variant: RecurrenceVariant, entry: &str, constants: &[_], name: &str, label: &str, shape: &[usize]| {
            let packed = gpu.tensor(label, Element::F32, shape)?;
            let kernel = variant.shader(cell).dispatch(gpu, entry, constants, &[("weight", weight), (name, &packed)])?;
            Ok::<_, GpuError>((packed, kernel))
        };
        let (name, (packed, kernel), elements) = match (variant, direction) {
            (RecurrenceVariant::Plain | RecurrenceVariant::Register(_), Direction::Forward) => {
                return Ok(Self { weights: vec![("weight", weight.clone())], kernel: None, constant: None });
            }
            (RecurrenceVariant::Plain | RecurrenceVariant::Register(_), Direction::Backward) => {
                let shape = [gates * hidden, hidden];
                let constants = [("HIDDEN", hidden.into())];
                let packed = into(RecurrenceVariant::Plain, "transpose", &constants, "transposed", "transposed weight", &shape)?;
                (if variant.is_register() { "weight" } else { "transposed" }, packed, gates * hidden * hidden)
            }
            (RecurrenceVariant::Matrix(_), _) => {
                let halves = PackedHalves::new(gpu, weight, 1, weight.elements(), 0)?;
                let weights = vec![("weight", halves.weights.clone())];
                return Ok(Self { weights, kernel: Some(Pack::Halves(halves)), constant: None });
            }
            (RecurrenceVariant::Wide, _) => return Self::wide(gpu, direction, cell, hidden, weight),
            (RecurrenceVariant::Subgroup { lanes }, Direction::Forward) if gates > 1 => {
                let shape = [hidden, hidden, 4];
                let constants = [("HIDDEN", hidden.into()), ("LANES", lanes.into())];
                let packed = into(variant, "pack_gates", &constants, "gate_weight", "weight for forward", &shape)?;
                ("gate_weight", packed, hidden * hidden)
            }
            (RecurrenceVariant::Subgroup { lanes }, _) => {
                let pitch = hidden.div_ceil(4 * lanes) * lanes;
                let mut constants = vec![("HIDDEN", hidden.into()), ("LANES", lanes.into())];
                constants.extend((gates == 1).then_some(("TRANSPOSED", (direction == Direction::Backward).into())));
                let packed =
                    into(variant, "pack_units", &constants, "unit_weight", "packed weight", &[gates * hidden, pitch, 4])?;
                ("unit_weight", packed, gates * hidden * pitch)
            }
        };
        Ok(Self { weights: vec![(name, packed)], kernel: Some(Pack::Kernel(kernel, elements)), constant: None })
    }

    /// For the wide kernels: in four parts of pairs of numbers, which uniform buffers hold if they are small enough.
    fn wide(gpu: &Gpu, direction: Direction, cell: Cell, hidden: usize, weight: &Tensor) -> Result<Self, GpuError> {
        let gates = cell.gates();
        let (blocks, inner) = (hidden.div_ceil(16), hidden.next_multiple_of(16));
        let of_gates = gates > 1 && direction == Direction::Forward;
        let pairs = 8 * if of_gates { blocks * inner } else { blocks.div_ceil(4) * gates * inner };
        let packed = gpu.uniform_tensor("packed weight", Element::F32, &[4, pairs, 2])?;
        let fits = packed.bytes() / 4 <= gpu.uniform_bytes();
        let held = ("HELD", Constant::from(if fits { pairs / 2 } else { 1 }));
        let mut constants = vec![("HIDDEN", hidden.into()), held];
        constants.extend((gates == 1).then_some(("TRANSPOSED", (direction == Direction::Backward).into())));
        let entry = if of_gates { "pack_gates" } else { "pack_units" };
        let tensors = [("weight", weight), ("repacked", &packed)];
        let kernel = RecurrenceVariant::Wide.shader(cell).dispatch(gpu, entry, &constants, &tensors)?;
        // Where they are not read, any will do.
        let part = |i| if fits { packed.rows(i, 1) } else { packed.view(0, &[4]) };
        let mut weights = vec![("part_0", part(0)), ("part_1", part(1)), ("part_2", part(2)), ("part_3", part(3))];
        weights.push(("packed", packed));
        Ok(Self { weights, kernel: Some(Pack::Kernel(kernel, pairs)), constant: Some(held) })
    }
}
