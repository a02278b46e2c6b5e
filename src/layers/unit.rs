//! Batch norm, ReLU, convolution: BBNN's pre-activation unit, with the first two folded into the convolution's load.

use super::{
    BatchNorm, BatchNormGradients, Channels, Convolution, ConvolutionShape, ConvolutionTensors, Declarations, Fold,
    FoldedGradient, Gradient, ImageContext, Map, MapStatistics, Mode, Parameters, Size, TileStatistics,
};
use crate::gpu::{GpuError, Pass};

/// BBNN's batch norms: NETWORKS, "eps 1e-3, PyTorch momentum 0.01".
pub const EPSILON: f32 = 1e-3;
/// See [`EPSILON`].
pub const MOMENTUM: f32 = 0.01;

/// What a unit reads: maps whose channels follow one another, with the statistics of all of them in that order.
pub struct UnitInput<'a> {
    /// The maps, and what becomes of their gradients.
    pub sources: Vec<(&'a Map, Gradient)>,
    /// At least as many as there are channels.
    pub statistics: &'a MapStatistics,
}

/// What a unit writes.
pub struct UnitOutput<'a> {
    /// The map.
    pub map: &'a Map,
    /// Where its statistics go, if the unit's kernels bring them, and at which channel they begin there.
    pub statistics: (&'a MapStatistics, usize),
}

/// The part of a unit that reads one map.
struct Part {
    convolution: Convolution,
    norm: FoldedGradient,
}

/// `y = convolution(relu(batch_norm(x)))` over images.
pub struct Unit {
    norm: BatchNorm,
    parts: Vec<Part>,
    statistics: Option<TileStatistics>,
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
        output: &UnitOutput<'_>,
    ) -> Result<Self, GpuError> {
        let ImageContext { gpu, slices, scratch, .. } = context;
        let MapStatistics { moments, corrections } = input.statistics;
        let y = output.map;
        let norm = BatchNorm::new(gpu, parameters, &format!("{name}.bn"), moments, EPSILON, MOMENTUM)?;
        let weight = parameters.parameter(&format!("{name}.conv.weight"));
        let bias = parameters.parameter(&format!("{name}.conv.bias"));
        let mut parts = Vec::new();
        let mut first = 0;
        for (source, gradient) in &input.sources {
            let inputs = source.value.count;
            let [batch, time, mel, _] = source.value.tensor.shape() else { panic!("images have four axes") };
            let part = ConvolutionShape { inputs, ..shape };
            let variants = context.variants(part, &source.value, &y.value, first);
            let fold = Fold { scale: &norm.scale, shift: &norm.shift, statistics: Some((moments, first)) };
            // Where the convolution does not take the gradient back through the fold, it rests here on its way.
            let (dactivation, gradient_there) = if variants.take_fold_back() {
                (source.grad.clone(), *gradient)
            } else {
                let rest = context.activation_grad()?.view(0, &[*batch, *time, *mel, inputs]);
                (Channels::whole(&rest), Gradient::Write)
            };
            let tensors = ConvolutionTensors {
                x: &source.value,
                fold: Some(fold),
                dx: Some((&dactivation, gradient_there)),
                y: &y.value,
                dy: &y.grad,
                weight: &weight,
                bias: &bias,
                first_input: first,
                scratch,
            };
            let convolution = Convolution::with_variants(gpu, variants, part, *slices, &tensors)?;
            let gradients = BatchNormGradients {
                x: &source.value,
                dy: &dactivation,
                dx: &source.grad,
                statistics: moments,
                statistics_first: first,
                parameters_first: first,
                relu: true,
                gradient: *gradient,
            };
            let prepare = if variants.take_fold_back() { FoldedGradient::finishing } else { FoldedGradient::new };
            let backward = prepare(gpu, &norm, *slices, &gradients, corrections, scratch)?;
            parts.push(Part { convolution, norm: backward });
            first += inputs;
        }
        let (of_y, first_of_y) = output.statistics;
        let statistics = match parts.last().is_some_and(|part| part.convolution.brings_moments()) {
            true => Some(TileStatistics::new(gpu, y.value.count, &of_y.moments, first_of_y, EPSILON, scratch)?),
            false => None,
        };
        assert_eq!(first, shape.inputs, "{name}: the sources' channels are the unit's inputs");
        Ok(Self { norm, parts, statistics, mel: shape.mel })
    }

    /// Whether [`Unit::forward`] fills the statistics of y, too.
    pub fn brings_statistics(&self) -> bool {
        self.statistics.is_some()
    }

    /// Fills y; the statistics of the input must be there.
    pub fn forward(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        let Size { batch, frames } = size;
        let rows = batch * frames * self.mel;
        self.norm.fold(pass, rows, mode);
        let (last, others) = self.parts.split_last().expect("a unit reads something");
        for part in others {
            part.convolution.forward(pass, batch, frames);
        }
        match self.statistics.as_ref().filter(|_| mode != Mode::Evaluate) {
            Some(statistics) => {
                let tiles = last.convolution.forward_with_moments(pass, batch, frames);
                statistics.finish(pass, tiles, rows);
            }
            None => last.convolution.forward(pass, batch, frames),
        }
    }

    /// Fills the parameters' gradients and writes or adds those of the sources, but for their correction.
    pub fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        let Size { batch, frames } = size;
        for Part { convolution, norm } in &self.parts {
            convolution.backward_parameters(pass, batch, frames);
            match convolution.backward_input(pass, batch, frames) {
                Some(tiles) => norm.finish(pass, tiles, batch * frames * self.mel),
                None => norm.backward(pass, batch, frames * self.mel),
            }
        }
    }
}
