//! The Independently Recurrent Neural Network (Li et al., arXiv 1803.04831) and its deep forms (arXiv 1910.06251).
//!
//! ```text
//! plain     [linear, recurrence, BN] x layers                                  (BN after, before, on the input, or none)
//! residual  linear, [x + unit(unit(x))] x layers/2, BN, recurrence
//! dense     linear, [x = concat(x, unit(unit(x)))] x n, unit that halves, .., BN, recurrence
//! unit      BN, recurrence, linear
//! ```
//! then the readout and the classifier. Deep stacks sum features, so an activation stands at their end.

use super::Dimensions;
use super::sequence::{Sequence, readout};
use crate::config::{BatchNormPlace, ModelConfig, RecurrentInit, Stack};
use crate::gpu::{Element, Gpu, GpuError, Pass, Tensor};
use crate::layers::{
    Channels, Declarations, DenseBlock, DropoutSeed, FoldedIndrnn, Gradient, IndrnnActivation, IndrnnBlock, IndrnnUnit, Initial,
    Layer, Linear, LinearShape, Map, Mode, NormPlace, Parameters, RecurrentWeights, ResidualBlock, SequenceContext, SequenceHead,
    Size, UnitSource,
};

/// Features that a dense stack begins with, in growths (DenseNet's choice).
const DENSE_STEM: usize = 2;

/// The recurrent weights of a layer, the last or another one: the last is the one that must remember the whole sequence.
fn weights(model: &ModelConfig, frames: usize, last: bool) -> RecurrentWeights {
    let bound = model.recurrent_bound(frames);
    let long = match model.recurrent_init {
        RecurrentInit::Paper => last,
        RecurrentInit::Uniform => false,
        RecurrentInit::Long => true,
    };
    RecurrentWeights { initial: [if long { bound.recip().min(bound) } else { 0.0 }, bound], limit: bound }
}

fn place(model: &ModelConfig) -> NormPlace {
    match model.batch_norm {
        BatchNormPlace::After => NormPlace::After,
        BatchNormPlace::Before => NormPlace::Before,
        BatchNormPlace::Input => NormPlace::Input,
        BatchNormPlace::None => NormPlace::None,
    }
}

/// One block of a dense stack: the features that it is given, and those that it ends with.
struct DenseSizes {
    inputs: usize,
    layers: usize,
    outputs: usize,
}

/// Every block of a dense stack; a transition between two of them halves the features.
fn dense_sizes(model: &ModelConfig) -> Vec<DenseSizes> {
    let mut inputs = DENSE_STEM * model.growth;
    let block = |&layers: &usize| {
        let sizes = DenseSizes { inputs, layers, outputs: inputs + layers * model.growth };
        inputs = (sizes.outputs / 2).max(1);
        sizes
    };
    model.dense_blocks.iter().map(block).collect()
}

/// Features that the classifier reads.
fn features(model: &ModelConfig) -> usize {
    match model.stack {
        Stack::Plain | Stack::Residual => model.hidden,
        Stack::Dense => dense_sizes(model).last().map_or(0, |block| block.outputs),
    }
}

/// The most features of a sequence anywhere in the network.
pub(super) fn widest(model: &ModelConfig, mels: usize) -> usize {
    let inside = match model.stack {
        Stack::Plain | Stack::Residual => model.hidden,
        Stack::Dense => dense_sizes(model).iter().map(|block| block.outputs).max().unwrap_or(0).max(4 * model.growth),
    };
    inside.max(mels)
}

/// Names and shapes.
pub(super) fn declare(model: &ModelConfig, dimensions: Dimensions) -> Declarations {
    let Dimensions { frames, mels, classes, .. } = dimensions;
    let mut declarations = Declarations::default();
    let hidden = model.hidden;
    let [inner, last] = [false, true].map(|last| weights(model, frames, last));
    match model.stack {
        Stack::Plain => {
            for layer in 0..model.layers {
                let shape = LinearShape { inputs: if layer == 0 { mels } else { hidden }, outputs: hidden };
                let weights = if layer + 1 == model.layers { last } else { inner };
                IndrnnBlock::declare(&mut declarations, &format!("layers.{layer}"), shape, place(model), weights);
            }
        }
        Stack::Residual => {
            declare_stem(&mut declarations, mels, hidden);
            for block in 0..model.layers / 2 {
                ResidualBlock::declare(&mut declarations, &format!("blocks.{block}"), hidden, inner);
            }
            IndrnnActivation::declare(&mut declarations, "head", hidden, last);
        }
        Stack::Dense => {
            let blocks = dense_sizes(model);
            declare_stem(&mut declarations, mels, blocks[0].inputs);
            for (i, block) in blocks.iter().enumerate() {
                if i > 0 {
                    let shape = LinearShape { inputs: blocks[i - 1].outputs, outputs: block.inputs };
                    IndrnnUnit::declare(&mut declarations, &format!("transitions.{}", i - 1), shape, inner);
                }
                DenseBlock::declare(&mut declarations, &format!("blocks.{i}"), block.inputs, model.growth, block.layers, inner);
            }
            IndrnnActivation::declare(&mut declarations, "head", features(model), last);
        }
    }
    SequenceHead::declare(&mut declarations, LinearShape { inputs: features(model), outputs: classes });
    // Weight decay is for the input weights only.
    for parameter in declarations.parameters.iter_mut().filter(|parameter| parameter.name == "classifier.weight") {
        parameter.decays = false;
    }
    declarations
}

fn declare_stem(declarations: &mut Declarations, mels: usize, outputs: usize) {
    LinearShape { inputs: mels, outputs }.declare(declarations, "stem", Initial::kaiming_uniform(8.0, mels));
}

fn scratch(model: &ModelConfig, dimensions: Dimensions) -> usize {
    let Dimensions { batch, frames, mels, classes } = dimensions;
    let shape = |inputs, outputs| LinearShape { inputs, outputs };
    let (hidden, head) = (model.hidden, shape(features(model), classes).scratch());
    let layers = match model.stack {
        Stack::Plain => [mels, hidden].map(|inputs| IndrnnBlock::scratch(shape(inputs, hidden), frames, batch)).into_iter().max(),
        Stack::Residual => Some(IndrnnUnit::scratch(shape(hidden, hidden), frames, batch).max(shape(mels, hidden).scratch())),
        Stack::Dense => dense_sizes(model)
            .iter()
            .map(|block| {
                let transition = IndrnnUnit::scratch(shape(block.outputs, block.outputs), frames, batch);
                let stem = shape(mels, block.inputs).scratch();
                DenseBlock::scratch(block.inputs, model.growth, block.layers, frames, batch).max(transition).max(stem)
            })
            .max(),
    };
    layers.unwrap_or(0).max(head)
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
    let Dimensions { batch, frames, .. } = dimensions;
    let scratch = gpu.tensor("partial sums", Element::F32, &[scratch(model, dimensions)])?;
    let dropout = DropoutSeed { p: model.dropout, seed, streams: &std::cell::Cell::new(0) };
    let context = SequenceContext { gpu, parameters, scratch: &scratch, frames, batch, dropout };
    let x = Channels::whole(x);
    if let Some(folded) = folded(&context, model, &x, logits)? {
        return Ok(Sequence { layers: vec![Box::new(folded)] });
    }
    let (mut layers, top) = match model.stack {
        Stack::Plain => plain(&context, model, &x)?,
        Stack::Residual => residual(&context, model, &x)?,
        Stack::Dense => dense(&context, model, &x)?,
    };
    layers.push(Box::new(SequenceHead::new(&context, readout(model), &top, logits)?));
    Ok(Sequence { layers })
}

/// All of a plain stack whose batch norms come after the recurrences, where nothing stands between them and the next product.
fn folded(
    context: &SequenceContext<'_>,
    model: &ModelConfig,
    x: &Channels,
    logits: &Map,
) -> Result<Option<FoldedIndrnn>, GpuError> {
    let takes = model.stack == Stack::Plain && place(model) == NormPlace::After && model.dropout == 0.0;
    if !takes || !FoldedIndrnn::fits(context.gpu, model.hidden) {
        return Ok(None);
    }
    FoldedIndrnn::new(context, model.layers, model.hidden, readout(model), x, logits).map(Some)
}

type Layers = (Vec<Box<dyn Layer>>, Map);

fn plain(context: &SequenceContext<'_>, model: &ModelConfig, x: &Channels) -> Result<Layers, GpuError> {
    let mut layers: Vec<Box<dyn Layer>> = Vec::new();
    let (mut value, mut below): (Channels, Option<Map>) = (x.clone(), None);
    for layer in 0..model.layers {
        let y = context.map("layer", model.hidden)?;
        let dx = below.as_ref().map(|map| &map.grad);
        layers.push(Box::new(IndrnnBlock::new(context, &format!("layers.{layer}"), place(model), &value, dx, &y)?));
        let (dropout, y) = context.dropped(&y)?;
        layers.extend(dropout.map(|dropout| Box::new(dropout) as Box<dyn Layer>));
        value = y.value.clone();
        below = Some(y);
    }
    Ok((layers, below.expect("at least one layer")))
}

fn residual(context: &SequenceContext<'_>, model: &ModelConfig, x: &Channels) -> Result<Layers, GpuError> {
    let mut stream = context.map("stream", model.hidden)?;
    let mut layers: Vec<Box<dyn Layer>> = vec![Box::new(StemLinear::new(context, x, &stream)?)];
    for block in 0..model.layers / 2 {
        let y = context.map("stream", model.hidden)?;
        layers.push(Box::new(ResidualBlock::new(context, &format!("blocks.{block}"), &stream, &y)?));
        stream = y;
    }
    end(context, layers, &stream)
}

fn dense(context: &SequenceContext<'_>, model: &ModelConfig, x: &Channels) -> Result<Layers, GpuError> {
    let mut layers: Vec<Box<dyn Layer>> = Vec::new();
    let mut before: Option<Map> = None;
    for (i, block) in dense_sizes(model).iter().enumerate() {
        let map = context.map("dense block", block.outputs)?;
        let given = map.part(0, block.inputs);
        layers.push(match &before {
            None => Box::new(StemLinear::new(context, x, &given)?),
            Some(before) => {
                let source = UnitSource { value: &before.value, grad: &before.grad, gradient: Gradient::Write };
                Box::new(IndrnnUnit::new(context, &format!("transitions.{}", i - 1), &source, &given)?)
            }
        });
        layers.push(Box::new(DenseBlock::new(context, &format!("blocks.{i}"), &map, block.inputs, model.growth)?));
        before = Some(map);
    }
    end(context, layers, &before.expect("at least one block"))
}

/// Adds the activation that ends a deep stack.
fn end(context: &SequenceContext<'_>, mut layers: Vec<Box<dyn Layer>>, x: &Map) -> Result<Layers, GpuError> {
    let y = context.map("activation", x.value.count)?;
    let source = UnitSource { value: &x.value, grad: &x.grad, gradient: Gradient::Write };
    layers.push(Box::new(IndrnnActivation::new(context, "head", &source, &y)?));
    let (dropout, y) = context.dropped(&y)?;
    layers.extend(dropout.map(|dropout| Box::new(dropout) as Box<dyn Layer>));
    Ok((layers, y))
}

/// The product that brings the mel bands to the width of a deep stack.
struct StemLinear(Linear);

impl StemLinear {
    fn new(context: &SequenceContext<'_>, x: &Channels, y: &Map) -> Result<Self, GpuError> {
        let shape = LinearShape { inputs: x.count, outputs: y.value.count };
        Linear::new(context.gpu, shape, x, None, y, context.parameters, "stem", context.scratch).map(Self)
    }
}

impl Layer for StemLinear {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, _mode: Mode) {
        self.0.forward(pass, size.frames * size.batch);
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.0.backward(pass, size.frames * size.batch);
    }
}
