//! The Independently Recurrent Neural Network (Li et al., arXiv 1803.04831): a plain stack, batch norm after each layer.

use super::Dimensions;
use crate::config::{ModelConfig, Readout};
use crate::gpu::{Element, Gpu, GpuError, Pass, Tensor};
use crate::layers::{
    Channels, Declarations, GlobalAveragePool, IndrnnBlock, Initial, LastStep, Layer, Linear, LinearShape, Map, Mode, Parameters,
    Size,
};

/// Names and shapes. Recurrent weights begin in U(0, bound), those of the last layer in U(gamma^(-1/T), bound), with
/// bound = gamma^(1/T): the last layer is the one that must remember the whole sequence.
pub(super) fn declare(model: &ModelConfig, dimensions: Dimensions) -> Declarations {
    let mut declarations = Declarations::default();
    let bound = f64::from(model.gamma).powf(1.0 / dimensions.frames as f64) as f32;
    for layer in 0..model.layers {
        let inputs = if layer == 0 { dimensions.mels } else { model.hidden };
        let low = if layer + 1 == model.layers { bound.recip().min(bound) } else { 0.0 };
        let shape = LinearShape { inputs, outputs: model.hidden };
        IndrnnBlock::declare(&mut declarations, &format!("layers.{layer}"), shape, (low, bound), bound);
    }
    let classifier = LinearShape { inputs: model.hidden, outputs: dimensions.classes };
    let bound = (model.hidden as f32).sqrt().recip();
    classifier.declare(&mut declarations, "classifier", Initial::Uniform(-bound, bound));
    // Weight decay is for the input weights only.
    for parameter in declarations.parameters.iter_mut().filter(|parameter| parameter.name == "classifier.weight") {
        parameter.decays = false;
    }
    declarations
}

enum Read {
    Last(LastStep),
    Mean(GlobalAveragePool),
}

/// All layers of the network.
pub(super) struct Indrnn {
    layers: Vec<IndrnnBlock>,
    read: Read,
    classifier: Linear,
}

impl Indrnn {
    /// Prepares every kernel from `x` (frames, batch, mel) to `logits`.
    pub(super) fn new(
        gpu: &Gpu,
        model: &ModelConfig,
        dimensions: Dimensions,
        parameters: &Parameters,
        x: &Tensor,
        logits: &Map,
    ) -> Result<Self, GpuError> {
        let Dimensions { batch, frames, mels, classes } = dimensions;
        let hidden = model.hidden;
        let block = |inputs| IndrnnBlock::scratch(LinearShape { inputs, outputs: hidden }, frames * batch, batch);
        let elements = block(mels).max(block(hidden)).max(LinearShape { inputs: hidden, outputs: classes }.scratch());
        let scratch = gpu.tensor("partial sums", Element::F32, &[elements])?;
        let mut layers = Vec::new();
        let mut below: Option<Map> = None;
        for layer in 0..model.layers {
            let y = Map::new(gpu, "layer", &[frames, batch, hidden])?;
            let name = format!("layers.{layer}");
            layers.push(match &below {
                None => IndrnnBlock::new(gpu, parameters, &name, &Channels::whole(x), None, &y, &scratch)?,
                Some(below) => IndrnnBlock::new(gpu, parameters, &name, &below.value, Some(&below.grad), &y, &scratch)?,
            });
            below = Some(y);
        }
        let top = below.expect("at least one layer");
        let last = Map::new(gpu, "readout", &[batch, hidden])?;
        let read = match model.readout {
            Readout::Last => Read::Last(LastStep::new(gpu, &top, &last)?),
            Readout::Mean => Read::Mean(GlobalAveragePool::sequence(gpu, &top, &last)?),
        };
        let shape = LinearShape { inputs: hidden, outputs: classes };
        let classifier = Linear::new(gpu, shape, &last.value, Some(&last.grad), logits, parameters, "classifier", &scratch)?;
        Ok(Self { layers, read, classifier })
    }
}

impl Layer for Indrnn {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        for layer in &self.layers {
            layer.forward(pass, size, mode);
        }
        match &self.read {
            Read::Last(last) => last.forward(pass, size),
            Read::Mean(mean) => mean.forward(pass, size.batch, size.frames),
        }
        self.classifier.forward(pass, size.batch);
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.classifier.backward(pass, size.batch);
        match &self.read {
            Read::Last(last) => last.backward(pass, size),
            Read::Mean(mean) => mean.backward(pass, size.batch, size.frames),
        }
        for layer in self.layers.iter().rev() {
            layer.backward(pass, size);
        }
    }
}
