//! A densely connected block of a deep IndRNN (Li et al., arXiv 1910.06251, after Huang et al. 2017): each layer reads
//! everything before it and appends `growth` features, through a bottleneck of four times as many.
//!
//! All layers of a block share one map. A layer's batch norm reads its first channels, its last product writes the next
//! ones: no kernel does both, so nothing is copied.

use super::{
    Declarations, Gradient, IndrnnUnit, Layer, LinearShape, Map, Mode, RecurrentWeights, SequenceContext, Size, UnitSource,
};
use crate::gpu::{GpuError, Pass};

/// Features of the bottleneck, in growths.
const BOTTLENECK: usize = 4;

/// Extends the channels of a map; the first ones are given.
pub struct DenseBlock {
    layers: Vec<[IndrnnUnit; 2]>,
}

impl DenseBlock {
    /// The products of layer `index` of a block that begins with `inputs` features.
    fn shapes(inputs: usize, growth: usize, index: usize) -> [LinearShape; 2] {
        let middle = BOTTLENECK * growth;
        [LinearShape { inputs: inputs + index * growth, outputs: middle }, LinearShape { inputs: middle, outputs: growth }]
    }

    /// Declares the units `name.{layer}.0` and `name.{layer}.1`.
    pub fn declare(
        declarations: &mut Declarations,
        name: &str,
        inputs: usize,
        growth: usize,
        layers: usize,
        weights: RecurrentWeights,
    ) {
        for layer in 0..layers {
            for (unit, shape) in Self::shapes(inputs, growth, layer).into_iter().enumerate() {
                IndrnnUnit::declare(declarations, &format!("{name}.{layer}.{unit}"), shape, weights);
            }
        }
    }

    /// Floats of scratch that it takes.
    pub fn scratch(inputs: usize, growth: usize, layers: usize, frames: usize, batch: usize) -> usize {
        let shapes = (0..layers).flat_map(|layer| Self::shapes(inputs, growth, layer));
        shapes.map(|shape| IndrnnUnit::scratch(shape, frames, batch)).max().unwrap_or(0)
    }

    /// Prepares the kernels over `map`, whose first `inputs` channels are given. Whoever reads the map afterwards has
    /// written its gradient before backward, to which the layers add.
    pub fn new(context: &SequenceContext<'_>, name: &str, map: &Map, inputs: usize, growth: usize) -> Result<Self, GpuError> {
        let layers = (map.value.count - inputs) / growth;
        let layer = |index: usize| {
            let (read, written) = (map.part(0, inputs + index * growth), map.part(inputs + index * growth, growth));
            let middle = context.map("bottleneck", BOTTLENECK * growth)?;
            let first = UnitSource { value: &read.value, grad: &read.grad, gradient: Gradient::Add };
            let second = UnitSource { value: &middle.value, grad: &middle.grad, gradient: Gradient::Write };
            Ok([
                IndrnnUnit::new(context, &format!("{name}.{index}.0"), &first, &middle)?,
                IndrnnUnit::new(context, &format!("{name}.{index}.1"), &second, &written)?,
            ])
        };
        Ok(Self { layers: (0..layers).map(layer).collect::<Result<_, GpuError>>()? })
    }
}

impl Layer for DenseBlock {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        for unit in self.layers.iter().flatten() {
            unit.forward(pass, size, mode);
        }
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        for unit in self.layers.iter().flatten().rev() {
            unit.backward(pass, size);
        }
    }
}
