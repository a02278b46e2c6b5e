//! The shaders of the recurrent families, and which of them an adapter gets.

use super::recurrence_contest::decide;
use super::recurrence_matrix::{self, MatrixLayout};
use super::recurrence_register::RegisterLayout;
use super::{Cell, Size};
use crate::gpu::{Constant, Gpu, Shader};

/// Invocations of a subgroup that the wide kernels are written for.
const WIDE_LANES: usize = 8;

/// The way through time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the first step to the last.
    Forward,
    /// From the last step to the first.
    Backward,
}

impl Direction {
    /// In the order of all pairs.
    pub const BOTH: [Self; 2] = [Self::Forward, Self::Backward];
}

/// Which shader of a family runs in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecurrenceVariant {
    /// `rnn.wgsl` and so on: takes every shape, on every adapter.
    Plain,
    /// `rnn_subgroup.wgsl` and so on.
    Subgroup {
        /// Invocations of a subgroup.
        lanes: usize,
    },
    /// `rnn_wide.wgsl` and so on: takes an even number of units, on software adapters whose subgroups have 8 invocations.
    Wide,
    /// `rnn_register.wgsl` and so on; the layout is for one cell, width and direction.
    Register(RegisterLayout),
    /// `rnn_matrix.wgsl` and so on, likewise: in mixed precision, on adapters with matrix units.
    Matrix(MatrixLayout),
}

impl RecurrenceVariant {
    /// Those that run on the adapter and take `hidden` units of `cell`, the default first: software adapters gain from
    /// subgroup broadcasts, hardware from workgroup memory.
    pub fn available(gpu: &Gpu, cell: Cell, hidden: usize, direction: Direction) -> Vec<Self> {
        let summary = gpu.summary();
        let [least, most] = summary.subgroup_sizes.map(|lanes| lanes as usize);
        let subgroups = summary.subgroups && least == most && least >= 8;
        let mut variants = vec![Self::Plain];
        if subgroups {
            let place = if summary.is_software() { 0 } else { 1 };
            variants.insert(place, Self::Subgroup { lanes: least });
        }
        if subgroups && least == WIDE_LANES && summary.loads_in_pairs() && hidden.is_multiple_of(2) {
            variants.insert(0, Self::Wide);
        }
        variants.extend(RegisterLayout::available(gpu, cell, hidden, direction).into_iter().map(Self::Register));
        variants.extend(MatrixLayout::available(gpu, cell, hidden, direction).into_iter().map(Self::Matrix));
        variants
    }

    /// What [`Self::available`] lists, forward beside backward, so that each occurs.
    pub fn pairs(gpu: &Gpu, cell: Cell, hidden: usize) -> Vec<[Self; 2]> {
        let [forward, backward] = Direction::BOTH.map(|direction| Self::available(gpu, cell, hidden, direction));
        let nth = |variants: &[Self], i: usize| variants[i.min(variants.len() - 1)];
        (0..forward.len().max(backward.len())).map(|i| [nth(&forward, i), nth(&backward, i)]).collect()
    }

    /// Those that the adapter gets, forward and backward: on hardware measured where batches are large enough to tell. With
    /// runtime checks always the plain ones, which compile faster with them.
    pub fn choose(gpu: &Gpu, cell: Cell, capacity: Size, hidden: usize) -> [Self; 2] {
        if gpu.runtime_checks() {
            return [Self::Plain; 2];
        }
        Direction::BOTH.map(|direction| {
            let variants = Self::available(gpu, cell, hidden, direction);
            if gpu.chooses_kernels() { decide(gpu, cell, capacity, hidden, direction, &variants) } else { variants[0] }
        })
    }

    /// Whether it is written for subgroups.
    pub fn is_subgroup(self) -> bool {
        matches!(self, Self::Subgroup { .. } | Self::Wide)
    }

    /// Whether it keeps the weight in registers.
    pub fn is_register(self) -> bool {
        matches!(self, Self::Register(_))
    }

    /// Whether it runs on matrix units.
    pub fn is_matrix(self) -> bool {
        matches!(self, Self::Matrix(_))
    }

    /// Whether a dispatch of it takes several levels of a stack.
    pub fn takes_levels(self) -> bool {
        self.is_register() || self.is_matrix()
    }

    /// The name of its shader.
    pub fn name(self, cell: Cell) -> &'static str {
        self.shader(cell).0
    }

    pub(super) fn shader(self, cell: Cell) -> Shader {
        let names = match cell {
            Cell::RnnTanh | Cell::RnnRelu => ["rnn", "rnn_subgroup", "rnn_wide", "rnn_register", "rnn_matrix"],
            Cell::Lstm => ["lstm", "lstm_subgroup", "lstm_wide", "lstm_register", "lstm_matrix"],
            Cell::Gru => ["gru", "gru_subgroup", "gru_wide", "gru_register", "gru_matrix"],
        };
        Shader(match self {
            Self::Plain => names[0],
            Self::Subgroup { .. } => names[1],
            Self::Wide => names[2],
            Self::Register(_) => names[3],
            Self::Matrix(_) => names[4],
        })
    }

    pub(super) fn constants(self, cell: Cell, hidden: usize, batch: usize) -> Vec<(&'static str, Constant)> {
        let mut constants: Vec<(&str, Constant)> = match self {
            Self::Plain => vec![("HIDDEN", hidden.into()), ("ROWS", self.rows(batch).into()), ("WIDTH", width(hidden).into())],
            Self::Subgroup { lanes } => {
                vec![("HIDDEN", hidden.into()), ("ROWS", self.rows(batch).into()), ("LANES", lanes.into())]
            }
            Self::Wide => vec![("HIDDEN", hidden.into()), ("ROWS", self.rows(batch).into())],
            Self::Register(layout) => layout.constants(),
            Self::Matrix(layout) => layout.constants(),
        };
        if cell.gates() == 1 {
            constants.push(("RELU", (cell == Cell::RnnRelu).into()));
        }
        constants
    }

    /// Rows of the batch that a workgroup owns: few enough that several cores have work.
    pub(super) fn rows(self, batch: usize) -> usize {
        match self {
            Self::Plain => batch.div_ceil(32).min(4),
            Self::Subgroup { .. } | Self::Wide => batch.div_ceil(2).next_multiple_of(4).min(16),
            Self::Register(_) => 1,
            Self::Matrix(_) => recurrence_matrix::SIDE,
        }
    }

    /// Units that a workgroup owns at a time.
    pub(super) fn tile(self, cell: Cell, hidden: usize, direction: Direction) -> usize {
        match self {
            Self::Plain => width(hidden),
            Self::Subgroup { lanes } if cell.gates() > 1 && direction == Direction::Forward => lanes,
            Self::Subgroup { lanes } => 4 * lanes,
            Self::Wide if cell.gates() > 1 && direction == Direction::Forward => 2 * WIDE_LANES,
            Self::Wide => 8 * WIDE_LANES,
            Self::Register(_) | Self::Matrix(_) => hidden,
        }
    }

    /// Turns that an invocation's loops take in one step, at most.
    pub(super) fn turns(self, cell: Cell, hidden: usize, batch: usize, direction: Direction) -> usize {
        let rows = self.rows(batch);
        let inner = if direction == Direction::Forward { 1 } else { cell.gates() };
        let tile = self.tile(cell, hidden, direction);
        let of_tile = match self {
            Self::Plain => inner * hidden * (rows + 2) + 3 * rows + 3,
            // The element-wise part beside the product.
            Self::Subgroup { lanes } => 2 * inner * (hidden.div_ceil(8) + 1) + 3 + tile / lanes * rows,
            // The product in blocks of two times eight steps, and a pair of units at a time.
            Self::Wide => 3 * inner * (hidden.div_ceil(2 * WIDE_LANES) + 1) + 3 + (tile / (2 * WIDE_LANES) + 1) * rows,
            Self::Register(layout) => layout.turns(),
            Self::Matrix(layout) => layout.turns(),
        };
        of_tile * hidden.div_ceil(tile) + 2
    }
}

/// Invocations of a plain workgroup.
fn width(hidden: usize) -> usize {
    hidden.next_multiple_of(32).min(256)
}

impl std::fmt::Display for RecurrenceVariant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plain => f.write_str("plain"),
            Self::Subgroup { lanes } => write!(f, "subgroups of {lanes}"),
            Self::Wide => f.write_str("wide"),
            Self::Register(layout) => write!(f, "registers, {layout}"),
            Self::Matrix(layout) => write!(f, "matrix units, {layout}"),
        }
    }
}
