//! The recurrent layers, `rnn.wgsl`, `lstm.wgsl`, `gru.wgsl` and their variants, beside [`reference::rnn`],
//! [`reference::lstm`] and [`reference::gru`].

use super::bench::{Bench, Layout, single};
use super::comparison::{Comparison, Comparisons};
use super::unit::MIXED_TOLERANCE;
use crate::gpu::{Gpu, GpuError};
use crate::layers::{
    Cell, Channels, Declarations, Layer, Map, Mode, Parameters, RecurrenceVariant, RecurrentLayer, RecurrentShape, Size,
};
use crate::reference::noise::Noise;
use crate::reference::recurrence::{Gradients, Size as Recurrence};
use crate::reference::rnn::Activation;
use crate::reference::{gru, linear, lstm, rnn};

/// One layer to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// The equations.
    pub cell: Cell,
    /// Samples and frames of this batch.
    pub size: Size,
    /// Samples and frames that the layer is built for; at least `size`.
    pub capacity: Size,
    /// Features of a row of x.
    pub inputs: usize,
    /// Units.
    pub hidden: usize,
    /// Magnitude of the inputs: 1 is mild, 100 drives gates to their ends.
    pub magnitude: f64,
    /// Most steps of a dispatch.
    pub steps: usize,
    /// Only the last step has a gradient, which fades towards the first.
    pub fading: bool,
}

impl Case {
    /// A layer for just that batch, cut only where its length demands it.
    pub fn new(cell: Cell, [frames, batch, hidden]: [usize; 3]) -> Self {
        let size = Size { batch, frames };
        Self { cell, size, capacity: size, inputs: 5, hidden, magnitude: 1.0, steps: usize::MAX, fading: false }
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Size { batch, frames } = self.size;
        write!(f, "{:?} {frames} x {batch} x {} -> {}", self.cell, self.inputs, self.hidden)?;
        if self.magnitude != 1.0 {
            write!(f, ", inputs times {}", self.magnitude)?;
        }
        if self.steps != usize::MAX {
            write!(f, ", {} steps a dispatch", self.steps)?;
        }
        if self.fading {
            write!(f, ", gradient of the last step alone")?;
        }
        super::describe_capacity(f, self.size, self.capacity, usize::MAX)
    }
}

/// The numbers that go into a case.
struct Given {
    x: Vec<f64>,
    dy: Vec<f64>,
    weight_ih: Vec<f64>,
    weight_hh: Vec<f64>,
    bias_ih: Vec<f64>,
    bias_hh: Vec<f64>,
}

impl Given {
    fn new(case: Case) -> Self {
        let Case { cell, size, inputs, hidden, .. } = case;
        let (rows, columns) = (size.batch * size.frames, cell.gates() * hidden);
        let mut noise = Noise::new((rows * hidden) as u64);
        // As a network begins: states forget what went before, so that rounding does not grow with the steps.
        let bound = (hidden as f64).sqrt().recip();
        let mut scaled =
            |count, scale: f64| noise.numbers(count).into_iter().map(|n| f64::from((n * scale) as f32)).collect::<Vec<_>>();
        let x = scaled(rows * inputs, case.magnitude);
        let mut dy: Vec<f64> = scaled(rows * hidden, 1.0);
        if case.fading {
            dy[..(rows - size.batch) * hidden].fill(0.0);
        }
        Self {
            x,
            dy,
            weight_ih: scaled(inputs * columns, 1.0),
            weight_hh: scaled(hidden * columns, bound),
            bias_ih: scaled(columns, bound),
            bias_hh: scaled(columns, bound),
        }
    }

    fn parameters(&self) -> [(&'static str, &[f64]); 4] {
        [
            ("rnn.weight_ih_l0", &self.weight_ih),
            ("rnn.weight_hh_l0", &self.weight_hh),
            ("rnn.bias_ih_l0", &self.bias_ih),
            ("rnn.bias_hh_l0", &self.bias_hh),
        ]
    }
}

/// What a layer leaves: y, dx, and the gradients of the weights and biases of input and state.
pub const OUTPUTS: [&str; 6] = ["y", "dx", "dweight_ih", "dweight_hh", "dbias_ih", "dbias_hh"];

/// Forward and backward on the device, whole tensors in the order of [`OUTPUTS`], NaN where nothing belongs.
///
/// Everything that the layer keeps to itself is first filled with NaN by a batch of that, as large as the layer takes.
pub fn run(gpu: &Gpu, variants: [RecurrenceVariant; 2], case: Case) -> Result<[Vec<f32>; 6], GpuError> {
    let Case { cell, size, capacity, inputs, hidden, steps, .. } = case;
    let (bench, given) = (Bench::new(gpu), Given::new(case));
    let shape = RecurrentShape { cell, inputs, hidden };
    let mut declarations = Declarations::default();
    shape.declare(&mut declarations, 0);
    let parameters = Parameters::new(gpu, declarations)?;
    for (name, values) in given.parameters() {
        bench.put(&parameters.parameter(name).value, values);
    }
    let sequence = |label: &str, channels| bench.poisoned(label, &[capacity.frames, capacity.batch, channels]);
    let (x, dx) = (sequence("x", inputs)?, sequence("dx", inputs)?);
    let y = Map { value: Channels::whole(&sequence("y", hidden)?), grad: Channels::whole(&sequence("dy", hidden)?) };
    let scratch = bench.poisoned("scratch", &[shape.scratch()])?;
    let (x_channels, dx_channels) = (Channels::whole(&x), Channels::whole(&dx));
    let layer =
        RecurrentLayer::with_variants(gpu, variants, &parameters, shape, 0, &x_channels, Some(&dx_channels), &y, &scratch)?;
    let layer = layer.at_most(steps);
    let record = |size| {
        bench.run(|pass| {
            layer.forward(pass, size, Mode::Train);
            layer.backward(pass, size);
        })
    };
    record(capacity)?;
    for tensor in [&x, &dx, &y.value.tensor, &y.grad.tensor, &scratch, parameters.gradients().whole()] {
        bench.poison(tensor);
    }
    bench.put(&x, &given.x);
    bench.put(&y.grad.tensor, &given.dy);
    record(size)?;
    let [weight_ih, weight_hh, bias_ih, bias_hh] = given.parameters().map(|(name, _)| parameters.parameter(name).grad);
    let outputs = [&y.value.tensor, &dx, &weight_ih, &weight_hh, &bias_ih, &bias_hh].map(|tensor| bench.get(tensor));
    let [a, b, c, d, e, f] = outputs;
    Ok([a?, b?, c?, d?, e?, f?])
}

/// Forward and every gradient. Backward with a ReLU is judged from the states that the kernel itself left: which of them
/// are 0 is a matter of rounding where a sum nearly vanishes.
pub fn check(gpu: &Gpu, variants: [RecurrenceVariant; 2], case: Case) -> Result<Vec<Comparison>, GpuError> {
    let actual = run(gpu, variants, case)?;
    let Case { cell, size: Size { batch, frames }, capacity, inputs, hidden, .. } = case;
    let given = Given::new(case);
    let rows = batch * frames;
    let product = linear::Size { rows, inputs, outputs: cell.gates() * hidden };
    let a = linear::forward(product, &given.x, &given.weight_ih, Some(&given.bias_ih));
    let size = Recurrence { time: frames, batch, hidden };
    let left = single(&actual[0][..rows * hidden]);
    let (h, gradients) = recurrence(size, cell, &given, &a, &left);
    let Gradients { da, dweight, dbias } = gradients;
    let expected = [
        h,
        linear::backward_input(product, &da, &given.weight_ih),
        linear::backward_weight(product, &given.x, &da),
        dweight,
        linear::backward_bias(product, &da),
        dbias,
    ];
    let mut result = Comparisons::new(variants[0].name(cell), &case);
    // Whose rounding the reference does not do.
    if variants.iter().any(|variant| variant.is_matrix()) {
        result = result.within(MIXED_TOLERANCE);
    }
    for (i, ((name, mut expected), actual)) in OUTPUTS.into_iter().zip(expected).zip(actual).enumerate() {
        if i < 2 {
            let channels = [hidden, inputs][i];
            let layout = Layout::rows(capacity.batch * capacity.frames, channels);
            expected = layout.spread(Size { batch: rows, frames: 1 }, &expected);
        }
        result.add(name, &expected, &actual);
    }
    Ok(result.done())
}

/// The reference's states and gradients; `left` are the states that the kernel left.
fn recurrence(size: Recurrence, cell: Cell, given: &Given, a: &[f64], left: &[f64]) -> (Vec<f64>, Gradients) {
    let Given { dy, weight_hh: weight, bias_hh: bias, .. } = given;
    let elman = |activation| {
        let h = rnn::forward(size, activation, a, weight, bias);
        let judged = if activation == Activation::Relu { left } else { &h };
        let gradients = rnn::backward(size, activation, weight, judged, dy);
        (h, gradients)
    };
    match cell {
        Cell::RnnTanh => elman(Activation::Tanh),
        Cell::RnnRelu => elman(Activation::Relu),
        Cell::Lstm => {
            let states = lstm::forward(size, a, weight, bias);
            let gradients = lstm::backward(size, weight, &states, dy);
            (states.h, gradients)
        }
        Cell::Gru => {
            let states = gru::forward(size, a, weight, bias);
            let gradients = gru::backward(size, weight, &states, dy);
            (states.h, gradients)
        }
    }
}
