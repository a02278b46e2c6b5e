//! The shaders of the convolution family, and which of them an adapter gets.

use super::ConvolutionShape;
use crate::gpu::{Gpu, Grid, Shader};

/// Which shader of the family runs, with the tiles that its workgroups own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvolutionVariant {
    shader: Shader,
    /// Rows and columns of a product's tile.
    tile: [usize; 2],
    /// Rows (tap, input) of a tile of the weight gradient; with `lanes` all of one tap.
    weight_rows: usize,
    /// Invocations of a subgroup, where the shader is written for it.
    lanes: Option<usize>,
    /// Whether channels must come in fours.
    fours: bool,
}

impl ConvolutionVariant {
    pub(super) const PLAIN: Self =
        Self { shader: Shader("convolution"), tile: [128, 32], weight_rows: 64, lanes: None, fours: false };

    /// Those that run on the adapter, the one that it gets first: software adapters gain from subgroup broadcasts,
    /// hardware from workgroup memory.
    pub fn available(gpu: &Gpu) -> Vec<Self> {
        let [least, most] = gpu.summary().subgroup_sizes.map(|lanes| lanes as usize);
        if !gpu.summary().subgroups || least != most || least < 8 {
            return vec![Self::PLAIN];
        }
        let subgroup = |shader, rows, fours| Self {
            shader: Shader(shader),
            tile: [rows, 4 * least],
            weight_rows: rows,
            lanes: Some(least),
            fours,
        };
        let aligned = subgroup("convolution_aligned_subgroup", 32, true);
        let any = subgroup("convolution_subgroup", 16, false);
        if gpu.summary().is_software() { vec![aligned, any, Self::PLAIN] } else { vec![Self::PLAIN, aligned, any] }
    }

    /// The one that the adapter gets for tensors whose channels come in fours, or do not. With runtime checks always the
    /// plain one: software adapters take ten seconds to compile the others with them.
    pub fn choose(gpu: &Gpu, in_fours: bool) -> Self {
        let first = Self::available(gpu).into_iter().find(|variant| variant.takes(in_fours));
        first.filter(|_| !gpu.runtime_checks()).unwrap_or(Self::PLAIN)
    }

    /// Whether it runs over tensors whose channels come in fours, or do not.
    pub fn takes(&self, in_fours: bool) -> bool {
        in_fours || !self.fours
    }

    /// The name of its shader.
    pub fn name(&self) -> &'static str {
        self.shader.0
    }

    pub(super) fn shader(&self) -> Shader {
        self.shader
    }

    pub(super) fn lanes(&self) -> Option<usize> {
        self.lanes
    }

    /// The variant whose kernel sums up the gradient of the bias.
    pub(super) fn of_bias(self) -> Self {
        if self.fours { self } else { Self::PLAIN }
    }

    /// Outputs of a workgroup of that kernel.
    pub(super) fn bias_tile(&self) -> usize {
        self.of_bias().lanes.map_or(64, |lanes| 32 * lanes)
    }

    /// Workgroups of a product of `rows` x `columns`.
    pub(super) fn grid(&self, rows: usize, columns: usize) -> Grid {
        let Grid([x, y, _]) = Grid::linear(rows.div_ceil(self.tile[0]));
        let columns = columns.div_ceil(self.tile[1]) as u32;
        Grid(if self.lanes.is_some() { [columns, x, y] } else { [x, y, columns] })
    }

    /// Workgroups of the weight gradient.
    pub(super) fn weight_grid(&self, shape: ConvolutionShape, splits: usize) -> Grid {
        let taps = shape.kernel[0] * shape.kernel[1];
        let [columns, splits] = [shape.outputs.div_ceil(self.tile[1]), splits].map(|count| count as u32);
        match self.lanes {
            Some(_) => Grid([columns, (taps * shape.inputs.div_ceil(self.weight_rows)) as u32, splits]),
            None => Grid([(taps * shape.inputs).div_ceil(self.weight_rows) as u32, splits, columns]),
        }
    }
}
