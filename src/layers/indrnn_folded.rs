//! A plain IndRNN from its input to its logits, each batch norm folded into the product behind it (`indrnn_fold.wgsl`): the same
//! network as [`super::IndrnnBlock`]s with a batch norm after the recurrence and a [`super::SequenceHead`], with half the
//! dispatches and, in f32, without its normalised maps.

use super::indrnn::NormedStates;
use super::sequence_norm::{EPSILON, MOMENTUM};
use super::{
    Channels, Convolution, ConvolutionTensors, Gradient, IndrnnPath, IndrnnRecurrence, Layer, Linear, LinearShape, Map, Mode,
    Param, Readout, SequenceContext, Size, Slices, indrnn_contest, sequence_head,
};
use crate::gpu::{Constant, Dispatch, Element, Gpu, GpuError, Grid, Pass, Precision, Shader, Tensor};

const FOLD: Shader = Shader("indrnn_fold");
/// Outputs of a workgroup of `fold`, and parts of their sums.
const TILE: [usize; 2] = [32, 8];
/// On software adapters, where a workgroup of one subgroup waits for nobody ..
const SOFTWARE_TILE: [usize; 2] = [8, 1];
/// .. with fewer turns of its loops than these: lavapipe leaves one without a word after 65,535.
const SOFTWARE_TURNS: usize = 1 << 15;
/// Storage buffers that a kernel binds, at most.
const BINDINGS: u32 = 10;
/// Workgroup memory of `fold` beside the 8 bytes of each channel.
const SHARED_BYTES: usize = 8 * 256;

/// What of a batch norm is folded into the product behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormFold {
    /// All of it.
    Whole,
    /// Gamma and beta; states are normalised before.
    Affine,
}

impl NormFold {
    /// In mixed precision operands of products are rounded: there a mean that is large beside how the states spread would cost
    /// digits.
    fn of(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::Whole,
            Precision::Mixed => Self::Affine,
        }
    }
}

/// (time, batch, features) to logits (batch, classes).
pub struct FoldedIndrnn {
    layers: Vec<FoldedLayer>,
    read: sequence_head::Read,
    classifier: FoldedProduct,
}

struct FoldedLayer {
    product: FoldedProduct,
    recurrence: IndrnnRecurrence,
}

impl FoldedIndrnn {
    /// Whether the adapter runs it.
    pub fn fits(gpu: &Gpu, hidden: usize) -> bool {
        let shared = 8 * hidden + SHARED_BYTES;
        shared <= gpu.summary().workgroup_bytes as usize && gpu.summary().storage_buffers >= BINDINGS
    }

    /// Prepares the kernels of `layers` layers under the names that [`super::IndrnnBlock`] declares, and of the classifier.
    pub fn new(
        context: &SequenceContext<'_>,
        layers: usize,
        hidden: usize,
        readout: Readout,
        x: &Channels,
        logits: &Map,
    ) -> Result<Self, GpuError> {
        let SequenceContext { gpu, batch, frames, .. } = *context;
        let path = indrnn_contest::choose(gpu, Size { batch, frames }, hidden, true);
        Self::with_path(context, path, NormFold::of(gpu.precision()), layers, hidden, readout, x, logits)
    }

    /// As [`FoldedIndrnn::new`], by the kernels of `path` and with that much folded.
    pub fn with_path(
        context: &SequenceContext<'_>,
        path: IndrnnPath,
        fold: NormFold,
        layers: usize,
        hidden: usize,
        readout: Readout,
        x: &Channels,
        logits: &Map,
    ) -> Result<Self, GpuError> {
        let SequenceContext { gpu, parameters, batch, .. } = *context;
        let mut built = Vec::new();
        let (mut value, mut below): (Channels, Option<Below>) = (x.clone(), None);
        for layer in 0..layers {
            let (a, h) = (context.map("projection", hidden)?, context.map("states", hidden)?);
            let states = NormedStates::new(gpu, batch, hidden)?;
            let u = parameters.parameter(&format!("layers.{layer}.recurrent.weight"));
            let sums = SampleSums { tensor: &states.chain_sums, du: Some(&u.grad) };
            let name = format!("layers.{layer}.input");
            built.push(FoldedLayer {
                product: FoldedProduct::new(context, &name, &value, below.as_ref(), &a, sums)?,
                recurrence: IndrnnRecurrence::normed(gpu, path, &a, &h, &u, &states)?,
            });
            value = h.value.clone();
            below = Some(Below { norm: format!("layers.{layer}.bn"), fold, grad: h.grad.clone(), states });
        }
        let below = below.expect("at least one layer");
        let read = Map::new(gpu, "readout", &[batch, hidden])?;
        let top = Map { value, grad: below.grad };
        let below = Below { grad: read.grad.clone(), ..below };
        let sums = SampleSums { tensor: &logits.grad.tensor, du: None };
        Ok(Self {
            layers: built,
            classifier: FoldedProduct::new(context, "classifier", &read.value, Some(&below), logits, sums)?,
            read: sequence_head::Read::new(gpu, readout, &top, &read)?,
        })
    }
}

impl Layer for FoldedIndrnn {
    fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        for FoldedLayer { product, recurrence } in &self.layers {
            product.forward(pass, size, size.frames, mode);
            recurrence.forward(pass, size);
        }
        self.read.forward(pass, size);
        self.classifier.forward(pass, size, 1, mode);
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.classifier.backward(pass, size, 1);
        self.read.backward(pass, size);
        for FoldedLayer { product, recurrence } in self.layers.iter().rev() {
            recurrence.backward(pass, size);
            product.backward(pass, size, size.frames);
        }
    }
}

/// What lies under a product: states, and the batch norm between.
struct Below {
    norm: String,
    fold: NormFold,
    /// Where the gradient at the batch norm's output goes.
    grad: Channels,
    states: NormedStates,
}

/// Sums over time by sample: of pairs, the second that of the gradient at the product's output, the first what `du` adds up.
/// Without one they are that gradient itself.
struct SampleSums<'a> {
    tensor: &'a Tensor,
    du: Option<&'a Tensor>,
}

/// A product of rows with a weight, behind a batch norm that is folded into it, or alone.
struct FoldedProduct {
    forward: Linear,
    /// The same with the weight as it is, for the gradients.
    back: Convolution,
    /// In training and in evaluation.
    fold: Option<[Dispatch; 2]>,
    normalise: Option<Dispatch>,
    gradients: Dispatch,
    shape: LinearShape,
    /// Outputs of a workgroup of `fold`.
    width: usize,
}

impl FoldedProduct {
    fn new(
        context: &SequenceContext<'_>,
        name: &str,
        x: &Channels,
        below: Option<&Below>,
        y: &Map,
        sums: SampleSums<'_>,
    ) -> Result<Self, GpuError> {
        let SequenceContext { gpu, parameters, scratch, batch, .. } = *context;
        let shape = LinearShape { inputs: x.count, outputs: y.value.count };
        let [weight, bias] = ["weight", "bias"].map(|which| parameters.parameter(&format!("{name}.{which}")));
        let flat = |c: &Channels| Channels { tensor: c.tensor.view(0, &[c.tensor.elements() / c.stride, c.stride]), ..c.clone() };
        let affine = below.is_some_and(|below| below.fold == NormFold::Affine);
        let normalised = affine.then(|| gpu.tensor("normalised", Element::F32, x.tensor.shape())).transpose()?;
        let (states, x) = (x, normalised.as_ref().map_or_else(|| x.clone(), Channels::whole));
        let (x_rows, dy_rows) = (flat(&x), flat(&y.grad));
        let dx = below.map(|below| flat(&below.grad));
        let tensors = ConvolutionTensors {
            x: &x_rows,
            fold: None,
            dx: dx.as_ref().map(|dx| (dx, Gradient::Write)),
            y: &dy_rows,
            dy: &dy_rows,
            weight: &weight,
            bias: &bias,
            first_input: 0,
            scratch,
        };
        let back = Convolution::new(gpu, shape.convolution(), Slices::one(x_rows.tensor.shape()[0]), &tensors)?;
        let turns = shape.inputs.max(shape.outputs).div_ceil(8) * (2 * batch + shape.convolution().splits() + 2);
        let small = gpu.summary().is_software() && turns < SOFTWARE_TURNS;
        let [width, parts] = if small { SOFTWARE_TILE } else { TILE };
        let constants: Vec<(&str, Constant)> = vec![
            ("WIDTH", width.into()),
            ("PARTS", parts.into()),
            ("CHANNELS", shape.inputs.into()),
            ("OUTPUTS", shape.outputs.into()),
            ("EPSILON", EPSILON.into()),
            ("PITCH", back.sums_pitch().into()),
            ("PAIRS", sums.du.is_some().into()),
            ("NORMALISED", affine.into()),
        ];
        let mut gradients = vec![
            ("product_sums", scratch),
            ("sample_sums", sums.tensor),
            ("dweight", &weight.grad),
            ("dbias", &bias.grad),
            ("du", sums.du.unwrap_or(&bias.grad)),
        ];
        let linear = |weight: &Param, bias: &Param| Linear::with_parameters(gpu, shape, &x, None, y, weight, bias, scratch);
        let Some(Below { norm, states: known, .. }) = below else {
            let gradients = FOLD.dispatch(gpu, "gradients_alone", &constants, &gradients)?;
            return Ok(Self { forward: linear(&weight, &bias)?, back, fold: None, normalise: None, gradients, shape, width });
        };
        let [gamma, beta] = ["weight", "bias"].map(|which| parameters.parameter(&format!("{norm}.{which}")));
        let [mean, var] = ["mean", "var"].map(|which| parameters.statistic(&format!("{norm}.running_{which}")));
        let folded = |parameter: &Param| {
            let value = gpu.tensor("folded", Element::F32, parameter.value.shape())?;
            Ok::<_, GpuError>(Param { value, grad: parameter.grad.clone() })
        };
        let (folded_weight, folded_bias) = (folded(&weight)?, folded(&bias)?);
        let fold = |evaluate: bool| {
            let constants = [&constants[..], &[("EVALUATE", evaluate.into())]].concat();
            let tensors = [
                ("moments", &known.moments),
                ("gamma", &gamma.value),
                ("beta", &beta.value),
                ("running_mean", &mean),
                ("running_var", &var),
                ("norm_out", &known.norm),
                ("weight", &weight.value),
                ("bias", &bias.value),
                ("folded_weight", &folded_weight.value),
                ("folded_bias", &folded_bias.value),
            ];
            FOLD.dispatch(gpu, "fold", &constants, &tensors)
        };
        gradients.extend([
            ("norm", &known.norm),
            ("weight", &weight.value),
            ("dgamma", &gamma.grad),
            ("dbeta", &beta.grad),
            ("corrections", &known.corrections),
        ]);
        let gradients = FOLD.dispatch(gpu, "gradients", &constants, &gradients)?;
        let normalise = normalised.map(|to| {
            FOLD.dispatch(gpu, "normalise", &constants, &[("norm", &known.norm), ("states", &states.tensor), ("normalised", &to)])
        });
        let forward = linear(&folded_weight, &folded_bias)?;
        Ok(Self {
            forward,
            back,
            fold: Some([fold(false)?, fold(true)?]),
            normalise: normalise.transpose()?,
            gradients,
            shape,
            width,
        })
    }

    /// Of `steps` steps of each sample.
    fn forward(&self, pass: &mut Pass<'_>, size: Size, steps: usize, mode: Mode) {
        let LinearShape { inputs, outputs } = self.shape;
        if let Some([train, evaluate]) = &self.fold {
            let (dispatch, momentum) = match mode {
                Mode::Train => (train, MOMENTUM),
                Mode::Recalibrate(share) => (train, share),
                Mode::Evaluate => (evaluate, 0.0),
            };
            let work = 2 * inputs * outputs + outputs.div_ceil(self.width) * 4 * size.batch * inputs;
            pass.run(dispatch, Grid::linear(outputs.div_ceil(self.width)), &immediates(size, 0, momentum), work);
        }
        if let Some(normalise) = &self.normalise {
            let (numbers, size) = (steps * size.batch * inputs, Size { frames: steps, ..size });
            pass.run(normalise, Grid::threads(numbers, 256), &immediates(size, 0, 0.0), numbers);
        }
        self.forward.forward(pass, steps * size.batch);
    }

    /// All gradients but what passes through the recurrence below.
    fn backward(&self, pass: &mut Pass<'_>, size: Size, steps: usize) {
        let LinearShape { inputs, outputs } = self.shape;
        let splits = self.back.weight_sums(pass, steps * size.batch, 1, 0);
        let work = inputs * outputs * (splits + size.batch);
        pass.run(&self.gradients, Grid([inputs as u32, 1, 1]), &immediates(size, splits, 0.0), work);
        self.back.backward_input(pass, steps * size.batch, 1);
    }
}

fn immediates(size: Size, splits: usize, momentum: f32) -> [u32; 4] {
    [size.batch as u32, size.frames as u32, splits as u32, momentum.to_bits()]
}
