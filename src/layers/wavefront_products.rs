//! Launcher of `wavefront.wgsl` and `wavefront_matrix.wgsl`: the products between the levels of a recurrent stack, a chunk of
//! several at a time.

use super::wavefront::{Ahead, StackTensors, WavefrontPlan};
use super::wavefront_schedule::Chunk;
use super::{Dropout, Layer, Map, Mode, ProductTile, SequenceContext, Size};
use crate::gpu::{Dispatch, Element, Gpu, GpuError, Grid, Pass, Shader, Tensor};

const WAVEFRONT: Shader = Shader("wavefront");
/// Its products on matrix units.
const MATRIX: Shader = Shader("wavefront_matrix");

/// From the states of each level but the top to the projected input of the next, and back.
pub(super) struct BoundaryProducts {
    forward: Product,
    backward: Product,
    masks: Vec<BoundaryDropout>,
}

struct Product {
    kernel: Dispatch,
    inputs: usize,
    outputs: usize,
    tile: ProductTile,
}

/// The dropout between two levels. Products apply the mask themselves; what is left of the states is needed when forward is
/// done, for the gradient of the weight.
struct BoundaryDropout {
    mask: Dropout,
    whole: Dropout,
}

impl BoundaryProducts {
    /// Prepares the kernels, and returns with them what the levels above the first read: the states of the one below, dropped
    /// out where there is dropout. `transposed` are the input weights of these levels on their sides.
    pub(super) fn new(
        context: &SequenceContext<'_>,
        plan: WavefrontPlan,
        tensors: &StackTensors,
        transposed: &Tensor,
    ) -> Result<(Self, Vec<Tensor>), GpuError> {
        let SequenceContext { gpu, batch, dropout, .. } = *context;
        let StackTensors { levels, hidden, columns, .. } = *tensors;
        let pitch = (batch * hidden).next_multiple_of(64);
        let ones = gpu.tensor("ones", Element::F32, &[batch, hidden])?;
        gpu.write(&ones, &vec![1.0f32; ones.elements()]);
        let mask = gpu.tensor("masks", Element::F32, &[if dropout.p > 0.0 { (levels - 1) * pitch } else { 4 }])?;
        let map = |tensor: &Tensor| {
            let value = super::Channels::whole(tensor);
            Map { grad: value.clone(), value }
        };
        let (mut masks, mut read) = (Vec::new(), Vec::new());
        for level in 0..levels - 1 {
            let states = tensors.level(&tensors.h, level);
            if dropout.p == 0.0 {
                read.push(states);
                continue;
            }
            let stream = dropout.streams.replace(dropout.streams.get() + 1);
            let dropped = gpu.tensor("dropped", Element::F32, states.shape())?;
            let new = |x: &Tensor, y: &Tensor| Dropout::new(gpu, &map(x), &map(y), dropout.seed, dropout.p, stream);
            let own = mask.view(level * pitch, &[batch, hidden]);
            masks.push(BoundaryDropout { mask: new(&ones, &own)?, whole: new(&states, &dropped)? });
            read.push(dropped);
        }
        let [weight, bias] = [0, 2].map(|which| tensors.parameters(context.parameters, which, 1));
        let product = |[inputs, outputs]: [usize; 2], weight: (&Tensor, usize), bias: (&Tensor, usize), x, y, back: bool| {
            let mut constants = plan.tile.constants();
            constants.extend([
                ("INPUTS", inputs.into()),
                ("OUTPUTS", outputs.into()),
                ("LEVEL_ROWS", tensors.level_rows.into()),
                ("LEVEL_WEIGHT", (weight.1 / 4).into()),
                ("LEVEL_BIAS", (bias.1 / 4).into()),
                ("LEVEL_MASK", (pitch / 4).into()),
                ("HAS_BIAS", (!back).into()),
                ("MASK_X", (!back && dropout.p > 0.0).into()),
                ("MASK_Y", (back && dropout.p > 0.0).into()),
                ("FROM_END", back.into()),
            ]);
            let bound = [("x", x), ("weight", weight.0), ("bias", bias.0), ("mask", &mask), ("y", y)];
            let shader = if plan.tile.is_matrix() { MATRIX } else { WAVEFRONT };
            let kernel = shader.dispatch(gpu, "product", &constants, &bound)?;
            Ok::<_, GpuError>(Product { kernel, inputs, outputs, tile: plan.tile })
        };
        let above = tensors.above(&tensors.a);
        let gradients_above = tensors.above(&tensors.da);
        let (weight, bias, on_side) = ((&weight.0, weight.1), (&bias.0, bias.1), (transposed, hidden * columns));
        let boundaries = Self {
            forward: product([hidden, columns], weight, bias, &tensors.h, &above, false)?,
            backward: product([columns, hidden], on_side, (transposed, 0), &gradients_above, &tensors.dh, true)?,
            masks,
        };
        Ok((boundaries, read))
    }

    /// Draws the masks of a step.
    pub(super) fn draw(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        self.masks.iter().for_each(|dropout| dropout.mask.forward(pass, Size { frames: 1, ..size }, mode));
    }

    /// Fills what the levels read, once all states are there.
    pub(super) fn drop_out(&self, pass: &mut Pass<'_>, size: Size, mode: Mode) {
        self.masks.iter().for_each(|dropout| dropout.whole.forward(pass, size, mode));
    }

    /// The projected input of these chunks; the boundary is the level below.
    pub(super) fn forward(&self, pass: &mut Pass<'_>, ahead: Ahead, chunks: &[Chunk]) {
        self.forward.run(pass, ahead, chunks);
    }

    /// The gradients of the states of these chunks; the boundary is the level itself.
    pub(super) fn backward(&self, pass: &mut Pass<'_>, ahead: Ahead, chunks: &[Chunk]) {
        self.backward.run(pass, ahead, chunks);
    }
}

impl Product {
    fn run(&self, pass: &mut Pass<'_>, ahead: Ahead, chunks: &[Chunk]) {
        if chunks.is_empty() {
            return;
        }
        let rows = ahead.steps * ahead.size.batch;
        let (tile_rows, tile_columns) = (self.tile.rows(), self.tile.columns());
        let grid = [self.outputs.div_ceil(tile_columns), rows.div_ceil(tile_rows), chunks.len()].map(|groups| groups as u32);
        let work = 2 * ahead.rows(chunks) * self.inputs * self.outputs;
        pass.run(&self.kernel, Grid(grid), &ahead.immediates(chunks), work);
    }
}

/// Lays weights (level, output, input) on their sides: the kernel, and how many there are.
pub(super) struct Transpose {
    kernel: Dispatch,
    count: usize,
    elements: usize,
}

impl Transpose {
    /// `from` has `count` matrices (outputs, inputs), each `apart` elements from the next.
    pub(super) fn new(
        gpu: &Gpu,
        [inputs, outputs]: [usize; 2],
        count: usize,
        (from, apart): (&Tensor, usize),
        to: &Tensor,
    ) -> Result<Self, GpuError> {
        let constants = [("INPUTS", inputs.into()), ("OUTPUTS", outputs.into()), ("LEVEL_WEIGHT", (apart / 4).into())];
        let kernel = WAVEFRONT.dispatch(gpu, "transpose", &constants, &[("original", from), ("transposed", to)])?;
        Ok(Self { kernel, count, elements: inputs * outputs })
    }

    pub(super) fn run(&self, pass: &mut Pass<'_>) {
        let Grid([x, y, _]) = Grid::threads(self.elements, 64);
        pass.run(&self.kernel, Grid([x, y, self.count as u32]), &[], self.count * self.elements);
    }
}
