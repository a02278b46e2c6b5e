//! Batch norm, ReLU, convolution: BBNN's pre-activation unit, with the first two folded into the convolution's load.

use super::{
    BatchNorm, BatchNormBackward, BatchNormGradients, Channels, Convolution, ConvolutionShape, ConvolutionTensors, Declarations,
    Gradient, ImageContext, Map, Mode, Parameters, Size,
};
use crate::gpu::{GpuError, Pass, Tensor};

/// BBNN's batch norms: NETWORKS, "eps 1e-3, PyTorch momentum 0.01".
pub const EPSILON: f32 = 1e-3;
/// See [`EPSILON`].
pub const MOMENTUM: f32 = 0.01;

/// What a unit reads: maps whose channels follow one another, with the statistics of all of them in that order.
pub struct UnitInput<'a> {
    /// The maps, and what becomes of their gradients.
    pub sources: Vec<(&'a Map, Gradient)>,
    /// Pairs of mean and inverse deviation, at least one per channel.
    pub statistics: &'a Tensor,
}

/// The part of a unit that reads one map.
struct Part {
    convolution: Convolution,
    norm: BatchNormBackward,
}

/// `y = convolution(relu(batch_norm(x)))` over images.
pub struct Unit {
    norm: BatchNorm,
    parts: Vec<Part>,
    mel: usize,
}

impl Unit {
    /// Declares `name.bn` and `name.conv`; `shape.inputs` are all inputs.
    pub fn declare(declarations: &mut Declarations, name: &str, shape: ConvolutionShape) {
        BatchNorm::declare(declarations, &format!("{name}.bn"), shape.inputs);
        shape.declare(declarations, &format!("{name}.conv"));
    }

    /// Prepares the kernels from `input` to `y`. More than one source takes a 1x1 kernel.
    pub fn new(
        context: &ImageContext,
        parameters: &Parameters,
        name: &str,
        shape: ConvolutionShape,
        input: &UnitInput<'_>,
        y: &Map,
    ) -> Result<Self, GpuError> {
        let ImageContext { gpu, slices, scratch, activation_grad } = context;
        let norm = BatchNorm::new(gpu, parameters, &format!("{name}.bn"), input.statistics, EPSILON, MOMENTUM)?;
        let weight = parameters.parameter(&format!("{name}.conv.weight"));
        let bias = parameters.parameter(&format!("{name}.conv.bias"));
        let mut parts = Vec::new();
        let mut first = 0;
        for (source, gradient) in &input.sources {
            let inputs = source.value.count;
            let [batch, time, mel, _] = source.value.tensor.shape() else { panic!("images have four axes") };
            let dactivation = Channels::whole(&activation_grad.view(0, &[*batch, *time, *mel, inputs]));
            let tensors = ConvolutionTensors {
                x: &source.value,
                fold: Some((&norm.scale, &norm.shift)),
                dx: Some((&dactivation, Gradient::Write)),
                y: &y.value,
                dy: &y.grad,
                weight: &weight,
                bias: &bias,
                first_input: first,
                scratch,
            };
            let convolution = Convolution::new(gpu, ConvolutionShape { inputs, ..shape }, *slices, &tensors)?;
            let gradients = BatchNormGradients {
                x: &source.value,
                dy: &dactivation,
                dx: &source.grad,
                statistics: input.statistics,
                statistics_first: first,
                parameters_first: first,
                relu: true,
                gradient: *gradient,
            };
            let backward = BatchNormBackward::new(gpu, &norm, *slices, &gradients, scratch)?;
            parts.push(Part { convolution, norm: backward });
            first += inputs;
        }
        assert_eq!(first, shape.inputs, "{name}: the sources' channels are the unit's inputs");
        Ok(Self { norm, parts, mel: shape.mel })
    }

    /// Fills y; the statistics of the input must be there.
    pub fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        self.norm.fold(pass, size.batch * size.frames * self.mel, mode);
        for part in &self.parts {
            part.convolution.forward(pass, size.batch, size.frames);
        }
    }

    /// Fills the parameters' gradients and writes or adds those of the sources.
    pub fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        for part in &self.parts {
            part.convolution.backward_parameters(pass, size.batch, size.frames);
            part.convolution.backward_input(pass, size.batch, size.frames);
            part.norm.backward(pass, size.batch, size.frames * self.mel);
        }
    }
}
