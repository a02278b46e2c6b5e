//! Launcher of `rnn.wgsl`, `lstm.wgsl`, `gru.wgsl` and their variants: a recurrence alone, given its projected input.

use super::Size;
use crate::gpu::{Constant, Dispatch, Element, Gpu, GpuError, Grid, Pass, Shader, Tensor};

/// Hardware gets one dispatch per step, spread over all units, from this width on: a workgroup alone would read the whole
/// weight in every step. Not measured.
const SPREAD_HIDDEN: usize = 1024;
/// Lavapipe ends every loop of an invocation after 65,535 turns in all, without a word: half of that leaves room for
/// turns that are not counted here.
const SOFTWARE_TURNS: usize = 1 << 15;

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

/// Which shader of a family runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecurrenceVariant {
    /// Invocations of a subgroup, where the shader is written for it.
    lanes: Option<usize>,
}

impl RecurrenceVariant {
    /// Those that run on the adapter, the one that it gets first: software adapters gain from subgroup broadcasts,
    /// hardware from workgroup memory.
    pub fn available(gpu: &Gpu) -> Vec<Self> {
        let [least, most] = gpu.summary().subgroup_sizes.map(|lanes| lanes as usize);
        let plain = Self { lanes: None };
        if !gpu.summary().subgroups || least != most || least < 8 {
            return vec![plain];
        }
        let subgroup = Self { lanes: Some(least) };
        if gpu.summary().is_software() { vec![subgroup, plain] } else { vec![plain, subgroup] }
    }

    /// The one that the adapter gets; with runtime checks always the plain one, which compiles faster with them.
    pub fn choose(gpu: &Gpu) -> Self {
        if gpu.runtime_checks() { Self { lanes: None } } else { Self::available(gpu)[0] }
    }

    /// Whether it is written for subgroups.
    pub fn is_subgroup(self) -> bool {
        self.lanes.is_some()
    }

    /// The name of its shader.
    pub fn name(self, cell: Cell) -> &'static str {
        self.shader(cell).0
    }

    fn shader(self, cell: Cell) -> Shader {
        Shader(match (cell, self.is_subgroup()) {
            (Cell::RnnTanh | Cell::RnnRelu, false) => "rnn",
            (Cell::RnnTanh | Cell::RnnRelu, true) => "rnn_subgroup",
            (Cell::Lstm, false) => "lstm",
            (Cell::Lstm, true) => "lstm_subgroup",
            (Cell::Gru, false) => "gru",
            (Cell::Gru, true) => "gru_subgroup",
        })
    }

    /// Rows of the batch that a workgroup owns: few enough that several cores have work.
    fn rows(self, batch: usize) -> usize {
        match self.lanes {
            Some(_) => batch.div_ceil(2).next_multiple_of(4).min(16),
            None => batch.div_ceil(32).min(4),
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

/// A recurrence over whole sequences, prepared over its tensors.
pub struct Recurrence {
    cell: Cell,
    hidden: usize,
    rows: usize,
    /// Units of a tile, forward and backward.
    tiles: [usize; 2],
    /// Turns that an invocation's loops take in one step, and the most that they may take in a dispatch.
    turns: [usize; 2],
    most_turns: usize,
    most_steps: usize,
    forward: Dispatch,
    backward: Dispatch,
    /// Kernels that lay the weight out anew, with the elements that each writes: before forward and before backward.
    pack: [Option<(Dispatch, usize)>; 2],
}

impl Recurrence {
    /// Prepares the kernels of one variant.
    pub fn new(gpu: &Gpu, variant: RecurrenceVariant, cell: Cell, tensors: &RecurrenceTensors<'_>) -> Result<Self, GpuError> {
        let RecurrenceTensors { a, h, dh, da, dhidden, weight, bias } = tensors;
        let &[frames, batch, hidden] = h.shape() else { panic!("states are (time, batch, hidden), not {:?}", h.shape()) };
        let gates = cell.gates();
        assert_eq!(weight.elements(), hidden * gates * hidden, "the recurrent weight is (hidden, gates * hidden)");
        let (shader, rows) = (variant.shader(cell), variant.rows(batch));
        let float = |label: &str, shape: &[usize]| gpu.tensor(label, Element::F32, shape);
        let mut constants: Vec<(&str, Constant)> = vec![("HIDDEN", hidden.into()), ("ROWS", rows.into())];
        if gates == 1 {
            constants.push(("RELU", (cell == Cell::RnnRelu).into()));
        }
        let width = hidden.next_multiple_of(32).min(256);
        constants.push(variant.lanes.map_or(("WIDTH", width.into()), |lanes| ("LANES", lanes.into())));

        let mut saved: Vec<(&str, Tensor)> = Vec::new();
        if gates > 1 {
            saved.push(("gates", float("gates", &[frames, batch, hidden, 4])?));
        }
        if cell == Cell::Lstm {
            saved.push(("c", float("cells", &[frames, batch, hidden])?));
        }
        let mut forward = vec![("a", *a), ("bias", *bias), ("h", *h)];
        let mut backward = vec![("dh", *dh), ("dhidden", *dhidden)];
        backward.extend((cell != Cell::Lstm).then_some(("h", *h)));
        backward.extend((cell == Cell::Gru).then_some(("da", *da)));
        for (name, tensor) in &saved {
            forward.push((name, tensor));
            backward.push((name, tensor));
        }
        let carried = float("carried", &[batch, hidden])?;
        backward.extend((gates > 1).then_some(("carried", &carried)));

        let dispatch = |entry: &str, constants: &[(&str, Constant)], tensors: &[(&str, &Tensor)]| {
            shader.dispatch(gpu, entry, constants, tensors)
        };
        let mut pack = [None, None];
        let (state_weight, gradient_weight);
        let tiles;
        match variant.lanes {
            None => {
                tiles = [width; 2];
                state_weight = ("weight", (*weight).clone());
                gradient_weight = ("transposed", float("transposed weight", &[gates * hidden, hidden])?);
                let tensors = [("weight", *weight), (gradient_weight.0, &gradient_weight.1)];
                pack[1] = Some((dispatch("transpose", &constants, &tensors)?, gates * hidden * hidden));
            }
            Some(lanes) => {
                let pitch = hidden.div_ceil(4 * lanes) * lanes;
                let units = |transposed: bool, label: &str| {
                    let packed = float(label, &[gates * hidden, pitch, 4])?;
                    let mut constants = constants.clone();
                    constants.extend((gates == 1).then_some(("TRANSPOSED", transposed.into())));
                    let kernel = dispatch("pack_units", &constants, &[("weight", *weight), ("unit_weight", &packed)])?;
                    Ok::<_, GpuError>((packed, Some((kernel, gates * hidden * pitch))))
                };
                let (packed, kernel) = units(true, "weight for backward")?;
                gradient_weight = ("unit_weight", packed);
                pack[1] = kernel;
                if gates == 1 {
                    tiles = [4 * lanes; 2];
                    let (packed, kernel) = units(false, "weight for forward")?;
                    state_weight = ("unit_weight", packed);
                    pack[0] = kernel;
                } else {
                    tiles = [lanes, 4 * lanes];
                    state_weight = ("gate_weight", float("weight for forward", &[hidden, hidden, 4])?);
                    let tensors = [("weight", *weight), (state_weight.0, &state_weight.1)];
                    pack[0] = Some((dispatch("pack_gates", &constants, &tensors)?, hidden * hidden));
                }
            }
        }
        forward.push((state_weight.0, &state_weight.1));
        backward.push((gradient_weight.0, &gradient_weight.1));

        let software = gpu.summary().is_software();
        let turns = [1, gates].map(|inner| match variant.lanes {
            None => inner * hidden * (rows + 2) + 3 * rows + 3,
            Some(_) => 2 * inner * (hidden.div_ceil(8) + 1) + 3,
        });
        // Of the element-wise part.
        let finish = |tile: usize| variant.lanes.map_or(0, |lanes| tile / lanes * rows);
        Ok(Self {
            cell,
            hidden,
            rows,
            tiles,
            turns: std::array::from_fn(|i| (turns[i] + finish(tiles[i])) * hidden.div_ceil(tiles[i]) + 2),
            most_turns: if software { SOFTWARE_TURNS } else { usize::MAX },
            most_steps: if software || hidden < SPREAD_HIDDEN { usize::MAX } else { 1 },
            forward: dispatch("forward", &constants, &forward)?,
            backward: dispatch("backward", &constants, &backward)?,
            pack,
        })
    }

    /// With at most so many steps in a dispatch, to try cutting where nothing demands it.
    pub fn at_most(mut self, steps: usize) -> Self {
        self.most_steps = steps.max(1);
        self
    }

    /// h from a.
    pub fn forward(&self, pass: &mut Pass<'_>, size: Size) {
        self.run(pass, size, 0, &self.forward);
    }

    /// da and dhidden from dh and what the last forward left.
    pub fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.run(pass, size, 1, &self.backward);
    }

    /// All steps, in as many dispatches as their length demands: state passes through storage, so that cuts change nothing.
    fn run(&self, pass: &mut Pass<'_>, size: Size, direction: usize, dispatch: &Dispatch) {
        if let Some((pack, elements)) = &self.pack[direction] {
            pass.run(pack, Grid::threads(*elements, 64), &[], *elements);
        }
        let work = 2 * size.batch * self.cell.gates() * self.hidden * (self.hidden + 16);
        let by_time = (pass.work_per_submission() / work as f64) as usize;
        let by_turns = self.most_turns / self.turns[direction];
        let longest = by_time.min(by_turns).min(self.most_steps).max(1);
        // Within one step tiles are independent.
        let tiles = if longest == 1 { self.hidden.div_ceil(self.tiles[direction]) } else { 1 };
        let grid = Grid::plane(size.batch.div_ceil(self.rows), tiles);
        for done in (0..size.frames).step_by(longest) {
            let steps = longest.min(size.frames - done);
            let immediates = [size.batch, size.frames, done, steps].map(|number| number as u32);
            pass.run(dispatch, grid, &immediates, work * steps);
        }
    }
}
