//! RNN, LSTM and GRU as `torch.nn` has them: a stack of levels of one cell, a readout and a classifier.

use super::Dimensions;
use super::sequence::{Sequence, readout};
use crate::config::{ModelConfig, ModelName, Nonlinearity};
use crate::gpu::{Element, Gpu, GpuError, Tensor};
use crate::layers::{
    Cell, Channels, Declarations, DropoutSeed, LinearShape, Map, Parameters, RecurrentShape, RecurrentStack, SequenceContext,
    SequenceHead,
};

fn cell(model: &ModelConfig) -> Cell {
    match (model.name, model.nonlinearity) {
        (ModelName::Lstm, _) => Cell::Lstm,
        (ModelName::Gru, _) => Cell::Gru,
        (_, Nonlinearity::Relu) => Cell::RnnRelu,
        (_, Nonlinearity::Tanh) => Cell::RnnTanh,
    }
}

/// Every level's sizes.
fn shapes(model: &ModelConfig, mels: usize) -> impl Iterator<Item = RecurrentShape> {
    let (cell, hidden) = (cell(model), model.hidden);
    (0..model.layers).map(move |level| RecurrentShape { cell, inputs: if level == 0 { mels } else { hidden }, hidden })
}

fn classifier(model: &ModelConfig, classes: usize) -> LinearShape {
    LinearShape { inputs: model.hidden, outputs: classes }
}

/// The most features of a sequence anywhere in the network.
pub(super) fn widest(model: &ModelConfig, mels: usize) -> usize {
    mels.max(cell(model).gates() * model.hidden)
}

/// Names and shapes.
pub(super) fn declare(model: &ModelConfig, dimensions: Dimensions) -> Declarations {
    let mut declarations = Declarations::default();
    for (level, shape) in shapes(model, dimensions.mels).enumerate() {
        shape.declare(&mut declarations, level);
    }
    SequenceHead::declare(&mut declarations, classifier(model, dimensions.classes));
    declarations
}

/// Prepares every kernel from `x` (frames, batch, mel) to `logits`.
pub(super) fn build(
    gpu: &Gpu,
    model: &ModelConfig,
    dimensions: Dimensions,
    parameters: &Parameters,
    x: &Tensor,
    seed: &Tensor,
    logits: &Map,
) -> Result<Sequence, GpuError> {
    let Dimensions { batch, frames, mels, classes } = dimensions;
    let elements = shapes(model, mels).map(|shape| shape.scratch()).max().unwrap_or(0);
    let scratch = gpu.tensor("partial sums", Element::F32, &[elements.max(classifier(model, classes).scratch())])?;
    let dropout = DropoutSeed { p: model.dropout, seed, streams: &std::cell::Cell::new(0) };
    let context = SequenceContext { gpu, parameters, scratch: &scratch, frames, batch, dropout };
    let first = shapes(model, mels).next().expect("at least one level");
    let stack = RecurrentStack::new(&context, first, model.layers, &Channels::whole(x))?;
    let head = SequenceHead::new(&context, readout(model), stack.top(), logits)?;
    Ok(Sequence { layers: vec![Box::new(stack), Box::new(head)] })
}
