//! A network on a GPU: input, body, loss, and its numbers by name.

use super::bbnn::{self, Bbnn};
use super::{Dimensions, ModelError, declare, indrnn, initialise, recurrent};
use crate::config::{ModelConfig, ModelName};
use crate::gpu::{Element, Gpu, GpuError, Pass, Tensor};
use crate::layers::{Layer, Map, Mode, Parameters, Size, Slices, SoftmaxCrossEntropy, Standardise, StandardiseTo};

/// A network that cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Whatever the adapter.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// On this adapter.
    #[error(transparent)]
    Gpu(#[from] GpuError),
}

/// A network with its tensors allocated and its kernels prepared.
pub struct Network {
    gpu: Gpu,
    dimensions: Dimensions,
    parameters: Parameters,
    features: Tensor,
    seed: Tensor,
    standardise: Standardise,
    body: Box<dyn Layer>,
    logits: Map,
    loss: SoftmaxCrossEntropy,
}

impl Network {
    /// Builds `model` for up to `dimensions`, all numbers zero: see [`Network::initialise`] and [`Network::load`].
    pub fn new(gpu: &Gpu, model: &ModelConfig, dimensions: Dimensions) -> Result<Self, BuildError> {
        Self::with_slices(gpu, model, dimensions, usize::MAX)
    }

    /// As [`Network::new`], with the values of feature maps stored as `maps` whatever the adapter's kernels are, to try it: halves
    /// need a width in fours, and what is no f32 a handle of mixed precision.
    pub fn with_maps(gpu: &Gpu, model: &ModelConfig, dimensions: Dimensions, maps: Element) -> Result<Self, BuildError> {
        Self::build(gpu, model, dimensions, usize::MAX, maps)
    }

    /// As [`Network::new`], with image kernels run over at most `most_per_slice` samples at a time: the result is the
    /// same, which a test holds against adapters of small bindings.
    pub fn with_slices(
        gpu: &Gpu,
        model: &ModelConfig,
        dimensions: Dimensions,
        most_per_slice: usize,
    ) -> Result<Self, BuildError> {
        Self::build(gpu, model, dimensions, most_per_slice, bbnn::maps(gpu, model))
    }

    fn build(
        gpu: &Gpu,
        model: &ModelConfig,
        dimensions: Dimensions,
        most_per_slice: usize,
        maps: Element,
    ) -> Result<Self, BuildError> {
        let parameters = Parameters::new(gpu, declare(model, dimensions)?)?;
        let Dimensions { batch, frames, mels, classes } = dimensions;
        let features = gpu.tensor("features", Element::F32, &[batch, frames, mels])?;
        let logits = Map::new(gpu, "logits", &[batch, classes])?;
        let slices = match model.name {
            ModelName::Bbnn => bbnn::slices(gpu, model, dimensions, most_per_slice, maps)?,
            _ => Slices::one(batch),
        };
        let (to, shape) = match model.name {
            ModelName::Bbnn => (StandardiseTo::Image(slices), [batch, frames, mels]),
            _ => (StandardiseTo::Sequence, [frames, batch, mels]),
        };
        let input = gpu.tensor("input", Element::F32, &shape)?;
        let seed = gpu.tensor("dropout seed", Element::U32, &[2])?;
        let standardise = Standardise::new(gpu, &features, to, &input)?;
        let body: Box<dyn Layer> = match model.name {
            ModelName::Bbnn => Box::new(Bbnn::new(gpu, model, dimensions, &parameters, &input, &logits, slices, maps)?),
            ModelName::Indrnn => Box::new(indrnn::build(gpu, model, dimensions, &parameters, &input, &seed, &logits)?),
            ModelName::Rnn | ModelName::Lstm | ModelName::Gru => {
                Box::new(recurrent::build(gpu, model, dimensions, &parameters, &input, &seed, &logits)?)
            }
        };
        let loss = SoftmaxCrossEntropy::new(gpu, &logits, parameters.gradient_scale())?;
        Ok(Self { gpu: gpu.clone(), dimensions, parameters, features, seed, standardise, body, logits, loss })
    }

    /// The device that it is on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// What it was built for.
    pub fn dimensions(&self) -> Dimensions {
        self.dimensions
    }

    /// Its arenas.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Labels, probabilities and results of the last batch.
    pub fn loss(&self) -> &SoftmaxCrossEntropy {
        &self.loss
    }

    /// Where a batch (batch, frames, mel) is read from: for whoever puts it there by kernels or copies, not by
    /// [`Network::upload`].
    pub fn features(&self) -> &Tensor {
        &self.features
    }

    /// The two words that dropout draws its masks from, likewise: see [`Network::set_dropout_seed`].
    pub fn dropout_seed(&self) -> &Tensor {
        &self.seed
    }

    /// Logits (batch, classes) of the last batch.
    pub fn logits(&self) -> &Tensor {
        &self.logits.value.tensor
    }

    /// The gradient there, times the [scale](Parameters::gradient_scale), which the loss writes and backward reads: a host with
    /// an objective of its own writes it in between.
    pub fn logits_gradient(&self) -> &Tensor {
        &self.logits.grad.tensor
    }

    /// Starts from the declared distributions, and statistics from 0 and 1.
    pub fn initialise(&self, seed: u64) {
        let declarations = self.parameters.declarations();
        for (place, values) in initialise::parameters(declarations, seed).iter().enumerate() {
            self.gpu.write(&self.parameters.values().tensor(place), values);
        }
        for (place, spec) in declarations.statistics.iter().enumerate() {
            self.gpu.write(&self.parameters.statistics().tensor(place), &vec![spec.initial; spec.length]);
        }
    }

    /// Sets how each mel band is standardised; `(0, 1)` leaves it.
    pub fn set_standardisation(&self, mean: &[f32], std: &[f32]) {
        self.gpu.write(&self.standardise.mean, mean);
        self.gpu.write(&self.standardise.std, std);
    }

    /// Sets what dropout draws its masks from; passes submitted later see it.
    pub fn set_dropout_seed(&self, seed: u64) {
        self.gpu.write(&self.seed, &[seed as u32, (seed >> 32) as u32]);
    }

    /// Hands a batch (batch, frames, mel) with labels to the device; passes submitted later see it.
    pub fn upload(&self, features: &[f32], labels: &[u32]) {
        self.gpu.write(&self.features, features);
        self.gpu.write(&self.loss.labels, labels);
    }

    /// Sets what is trained for: how much of the target is spread over all classes, and how much each class counts.
    /// Plain cross entropy (0, all 1) at first.
    pub fn set_loss(&mut self, label_smoothing: f32, class_weights: &[f32]) {
        self.loss.label_smoothing = label_smoothing;
        self.gpu.write(&self.loss.class_weights, class_weights);
    }

    /// Records the way from features to logits, probabilities and results.
    pub fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        self.forward_part(pass, size, mode, None);
    }

    /// As [`Network::forward`], for a batch that is only part of an update: its gradients are divided by `divisor`, the
    /// sum of the labels' class weights over the whole update.
    pub fn forward_part(&self, pass: &mut Pass<'_>, size: Size, mode: Mode, divisor: Option<f32>) {
        self.standardise.forward(pass, size);
        self.body.forward(pass, size, mode);
        self.loss.forward(pass, size.batch, divisor);
    }

    /// Records the way from the loss back to every parameter's gradient.
    pub fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.body.backward(pass, size);
    }
}
