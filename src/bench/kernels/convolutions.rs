//! Convolutions of BBNN and products of the recurrent networks, by each variant that takes their tensors.

use super::Table;
use crate::gpu::{Element, Gpu, GpuError};
use crate::layers::{
    Convolution, ConvolutionShape, ConvolutionTensors, ConvolutionVariant, ConvolutionVariants, Fold, Gradient, ImageContext,
    Slices,
};

/// Frames and bands of BBNN's maps behind its stem.
const MAP: [usize; 2] = [161, 128];

/// The convolutions of BBNN behind its stem, with a batch norm and a ReLU folded into the load.
pub(super) fn images(table: &mut Table<'_>, batch: usize) -> Result<(), GpuError> {
    let [frames, mel] = MAP;
    for (kernel, [inputs, outputs]) in [(1, [32, 32]), (1, [128, 32]), (3, [32, 32]), (5, [32, 32])] {
        let shape = ConvolutionShape { kernel: [kernel; 2], inputs, outputs, mel };
        let words = format!("{kernel}x{kernel} {inputs}->{outputs}, {batch} x {frames} x {mel}");
        convolution(table, "convolution", &words, shape, [batch, frames], true)?;
    }
    Ok(())
}

/// The products of all steps at once: of an IndRNN's or RNN's level, a GRU's and an LSTM's.
pub(super) fn products(table: &mut Table<'_>, rows: usize) -> Result<(), GpuError> {
    for [inputs, outputs] in [[128, 128], [128, 384], [128, 512]] {
        let shape = ConvolutionShape { kernel: [1, 1], inputs, outputs, mel: 1 };
        convolution(table, "linear", &format!("{rows} rows, {inputs}->{outputs}"), shape, [rows, 1], false)?;
    }
    Ok(())
}

/// The variants that run over these tensors, whose maps are stored as `maps`, on the adapter.
fn variants(
    gpu: &Gpu,
    shape: ConvolutionShape,
    tensors: &ConvolutionTensors<'_>,
    maps: Element,
) -> impl Iterator<Item = ConvolutionVariant> {
    let alignment = tensors.alignment();
    let takes =
        move |variant: &ConvolutionVariant| variant.takes(shape, alignment) && (maps != Element::F16 || variant.takes_halves());
    ConvolutionVariant::available(gpu).into_iter().filter(takes)
}

fn convolution(
    table: &mut Table<'_>,
    family: &str,
    words: &str,
    shape: ConvolutionShape,
    [batch, frames]: [usize; 2],
    folded: bool,
) -> Result<(), GpuError> {
    if !table.wants(family) {
        return Ok(());
    }
    let ConvolutionShape { kernel: [time, bands], inputs, outputs, mel } = shape;
    let slices = Slices::one(batch);
    // Images are stored as BBNN has them.
    let maps = if folded { ImageContext::maps_of(table.gpu, true) } else { Element::F32 };
    let x = table.map_as(maps, "x", &[batch, frames, mel, inputs])?;
    let y = table.map_as(maps, "y", &[batch, frames, mel, outputs])?;
    let (scale, shift) = (table.tensor("scale", &[inputs])?, table.tensor("shift", &[inputs])?);
    let tensors = ConvolutionTensors {
        x: &x.value,
        fold: folded.then_some(Fold { scale: &scale, shift: &shift, statistics: None }),
        dx: Some((&x.grad, Gradient::Write)),
        y: &y.value,
        dy: &y.grad,
        weight: &table.param("weight", &[time, bands, inputs, outputs], time * bands * inputs)?,
        bias: &table.param("bias", &[outputs], 1)?,
        first_input: 0,
        scratch: &table.tensor("scratch", &[shape.scratch(slices)])?,
    };
    for variant in variants(table.gpu, shape, &tensors, maps) {
        let variants = ConvolutionVariants::fitting(table.gpu, variant, shape, maps);
        let layer = Convolution::with_variants(table.gpu, variants, shape, slices, &tensors)?;
        table.case(family, &variant.words(), words, |pass| {
            layer.forward(pass, batch, frames);
            layer.backward_parameters(pass, batch, frames);
            layer.backward_input(pass, batch, frames);
        })?;
    }
    Ok(())
}
