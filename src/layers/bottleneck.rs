//! Units of batch norm, ReLU and 1x1 convolution that read the same maps: BBNN's bottlenecks, its pooled branch and its transition.
//!
//! Either each is a [`Unit`] of its own, which runs a convolution for every map it reads and whose gradient passes over x and dx
//! once more; or all run together, as kernels that bring each map once.

use super::bottleneck_contest;
use super::bottleneck_together::{self, Group, Products, Together};
use super::{ConvolutionShape, ImageContext, Mode, Parameters, Size, Slices, Unit, UnitInput, UnitOutput};
use crate::gpu::{Gpu, GpuError, Pass};

/// Units over the same maps.
pub struct Bottlenecks(Kind);

enum Kind {
    Apart(Vec<Unit>),
    Together(Box<Together>),
}

impl Bottlenecks {
    /// Prepares the units `names`, of one shape, from `input` to `outputs`, by the kernels that the adapter gets.
    pub fn new(
        context: &ImageContext,
        parameters: &Parameters,
        names: &[String],
        shape: ConvolutionShape,
        input: &UnitInput<'_>,
        outputs: &[UnitOutput<'_>],
    ) -> Result<Self, GpuError> {
        let rows = outputs[0].map.value.tensor.elements() / outputs[0].map.value.stride;
        let mel = shape.mel;
        if let Some(group) = Group::of(input, outputs).filter(|_| Self::run_together_on(&context.gpu))
            && let Some(tiles) = context.bottlenecks(|| bottleneck_contest::choose(context, group, mel, rows))
        {
            let products = Products { tiles, group, mel, taps: Vec::new() };
            return Self::together(context, parameters, names, products, input, outputs);
        }
        Self::apart(context, parameters, names, shape, input, outputs)
    }

    /// Each by itself.
    pub(super) fn apart(
        context: &ImageContext,
        parameters: &Parameters,
        names: &[String],
        shape: ConvolutionShape,
        input: &UnitInput<'_>,
        outputs: &[UnitOutput<'_>],
    ) -> Result<Self, GpuError> {
        let unit = |(name, output): (&String, _)| Unit::new(context, parameters, name, shape, input, output);
        Ok(Self(Kind::Apart(names.iter().zip(outputs).map(unit).collect::<Result<_, _>>()?)))
    }

    /// All in the same kernels.
    pub(super) fn together(
        context: &ImageContext,
        parameters: &Parameters,
        names: &[String],
        products: Products,
        input: &UnitInput<'_>,
        outputs: &[UnitOutput<'_>],
    ) -> Result<Self, GpuError> {
        let together = Together::new(context, parameters, names, products, input, outputs)?;
        Ok(Self(Kind::Together(Box::new(together))))
    }

    /// Whether the adapter can run units together.
    pub fn run_together_on(gpu: &Gpu) -> bool {
        bottleneck_together::runs_on(gpu)
    }

    /// Whether [`Bottlenecks::forward`] fills the statistics of every y, too.
    pub fn brings_statistics(&self) -> bool {
        match &self.0 {
            Kind::Apart(units) => units.iter().all(Unit::brings_statistics),
            Kind::Together(_) => true,
        }
    }

    /// Fills every y; the statistics of the input must be there.
    pub fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        match &self.0 {
            Kind::Apart(units) => units.iter().for_each(|unit| unit.forward(pass, size, mode)),
            Kind::Together(together) => together.forward(pass, size, mode),
        }
    }

    /// Fills the parameters' gradients and writes or adds those of the maps, but for their correction. Where several units are
    /// apart and the gradient is written, that of all but the first to come adds: give [`super::Gradient::Add`] for more than one.
    pub fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        match &self.0 {
            Kind::Apart(units) => units.iter().rev().for_each(|unit| unit.backward(pass, size)),
            Kind::Together(together) => together.backward(pass, size),
        }
    }

    /// Floats of scratch that they take together over `rows` rows: `first` channels in the first of `maps` maps, `other` in each
    /// of the others, and `width` in each y.
    pub fn scratch(slices: Slices, units: usize, maps: usize, [first, other, width]: [usize; 3], rows: usize) -> usize {
        Group { units, maps, first, other, outputs: width }.scratch(rows, slices)
    }
}
