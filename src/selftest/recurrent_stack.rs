//! Stacks of recurrent levels, one after the other and as wavefronts, beside [`reference::rnn`], [`reference::lstm`] and
//! [`reference::gru`] one on top of the other.

use super::bench::{Bench, Layout};
use super::comparison::{Comparison, Comparisons};
use super::unit::MIXED_TOLERANCE;
use crate::gpu::{Element, Gpu, GpuError, Precision};
use crate::layers::{
    Cell, Channels, Declarations, DropoutSeed, Layer, Mode, Parameters, RecurrentShape, RecurrentStack, SequenceContext, Size,
    StackOrder,
};
use crate::reference::noise::Noise;
use crate::reference::recurrence::{Gradients, Size as Recurrence};
use crate::reference::rnn::Activation;
use crate::reference::{dropout, gru, half, linear, lstm, rnn};

/// Of gradients in mixed precision, that of the input weight and the others: what rounding to f16 makes of a number between two
/// of its own is a matter of the last bits, and the kernels that add up the others round what the reference does not.
const MIXED_TOLERANCES: [f64; 2] = [3e-4, 1e-3];
const SEED: [u32; 2] = [0x1234_5678, 0x9abc_def0];

/// One stack to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// The equations.
    pub cell: Cell,
    /// The order of its levels.
    pub order: StackOrder,
    /// How many these are.
    pub levels: usize,
    /// Samples and frames of this batch.
    pub size: Size,
    /// Samples and frames that the stack is built for; at least `size`.
    pub capacity: Size,
    /// Features of a row of x.
    pub inputs: usize,
    /// Units.
    pub hidden: usize,
    /// The share that dropout leaves out after each level.
    pub p: f32,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cell, order, levels, size: Size { batch, frames }, inputs, hidden, p, .. } = self;
        write!(f, "{levels} levels of {cell:?} {frames} x {batch} x {inputs} -> {hidden}, dropout {p}, {order}")?;
        if let StackOrder::Levels([variant, _]) = order {
            write!(f, ", {variant}")?;
        }
        super::describe_capacity(f, self.size, self.capacity, usize::MAX)
    }
}

/// What a stack leaves, in order.
const OUTPUTS: [&str; 4] = ["dweight_ih", "dweight_hh", "dbias_ih", "dbias_hh"];

/// The numbers that go into a case; parameters level by level, in the order of [`OUTPUTS`].
struct Given {
    x: Vec<f64>,
    dy: Vec<f64>,
    parameters: Vec<[Vec<f64>; 4]>,
}

impl Given {
    fn new(case: Case) -> Self {
        let Case { cell, size, hidden, levels, .. } = case;
        let (rows, columns) = (size.batch * size.frames, cell.gates() * hidden);
        let mut noise = Noise::new((rows * hidden + levels) as u64);
        let mut scaled = |count, scale: f64| noise.numbers(count).into_iter().map(|n| f64::from((n * scale) as f32)).collect();
        // As a network begins, but that the input is not lost on its way up.
        let bound = (hidden as f64).sqrt().recip();
        Self {
            x: scaled(rows * case.inputs, 1.0),
            dy: scaled(rows * hidden, 1.0),
            parameters: (0..levels)
                .map(|level| {
                    let inputs = case.shape(level).inputs;
                    let of_input = scaled(inputs * columns, 2.0 / (inputs as f64).sqrt());
                    [of_input, scaled(hidden * columns, bound), scaled(columns, bound), scaled(columns, bound)]
                })
                .collect(),
        }
    }
}

impl Case {
    fn shape(&self, level: usize) -> RecurrentShape {
        let inputs = if level == 0 { self.inputs } else { self.hidden };
        RecurrentShape { cell: self.cell, inputs, hidden: self.hidden }
    }

    fn names(level: usize) -> [String; 4] {
        OUTPUTS.map(|name| format!("rnn.{}_l{level}", &name[1..]))
    }
}

/// Forward and backward on the device: what the top leaves in evaluation and in training, whole, NaN where nothing belongs; then
/// the gradients of all parameters, level by level.
///
/// Everything that the stack keeps to itself is first filled with NaN by a batch of that, as large as the stack takes.
pub fn run(gpu: &Gpu, case: Case) -> Result<Vec<Vec<f32>>, GpuError> {
    let Case { size, capacity, levels, inputs, .. } = case;
    let (bench, given) = (Bench::new(gpu), Given::new(case));
    let mut declarations = Declarations::default();
    (0..levels).for_each(|level| case.shape(level).declare(&mut declarations, level));
    let parameters = Parameters::new(gpu, declarations)?;
    for (level, values) in given.parameters.iter().enumerate() {
        for (name, values) in Case::names(level).iter().zip(values) {
            bench.put(&parameters.parameter(name).value, values);
        }
    }
    let x = bench.poisoned("x", &[capacity.frames, capacity.batch, inputs])?;
    let scratch = bench.poisoned("scratch", &[case.shape(0).scratch().max(case.shape(levels - 1).scratch())])?;
    let seed = gpu.tensor("seed", Element::U32, &[2])?;
    gpu.write(&seed, &SEED);
    let context = SequenceContext {
        gpu,
        parameters: &parameters,
        scratch: &scratch,
        frames: capacity.frames,
        batch: capacity.batch,
        dropout: DropoutSeed { p: case.p, seed: &seed, streams: &std::cell::Cell::new(0) },
    };
    let stack = RecurrentStack::with_order(&context, case.order, case.shape(0), levels, &Channels::whole(&x))?;
    let (y, dy) = (&stack.top().value.tensor, &stack.top().grad.tensor);
    let forward = |size, mode| bench.run(|pass| stack.forward(pass, size, mode));
    let backward = |size| bench.run(|pass| stack.backward(pass, size));
    bench.poison(dy);
    forward(capacity, Mode::Train)?;
    backward(capacity)?;
    for tensor in [&x, y, dy, &scratch, parameters.gradients().whole()] {
        bench.poison(tensor);
    }
    bench.put(&x, &given.x);
    forward(size, Mode::Evaluate)?;
    let evaluated = bench.get(y)?;
    bench.poison(y);
    bench.put(dy, &given.dy);
    forward(size, Mode::Train)?;
    backward(size)?;
    let mut outputs = vec![evaluated, bench.get(y)?];
    for name in (0..levels).flat_map(Case::names) {
        outputs.push(bench.get(&parameters.parameter(&name).grad)?);
    }
    Ok(outputs)
}

/// Forward in evaluation and in training, and the gradient of every parameter.
pub fn check(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let actual = run(gpu, case)?;
    let mixed = gpu.precision() == Precision::Mixed;
    let expected = expected(case, mixed);
    let Case { size, capacity, hidden, .. } = case;
    let kernel = if matches!(case.order, StackOrder::Wavefront(_)) { "wavefront" } else { "stack" };
    let mut result = Comparisons::new(kernel, &case);
    let variants = match case.order {
        StackOrder::Levels(variants) => variants,
        StackOrder::Wavefront(plan) => plan.variants,
    };
    // Whose rounding the reference does not do.
    let rounds = variants.iter().any(|variant| variant.is_matrix());
    if rounds {
        result = result.within(MIXED_TOLERANCE);
    }
    let layout = Layout::rows(capacity.batch * capacity.frames, hidden);
    for (i, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
        match i {
            0 | 1 => {
                let rows = Size { batch: size.batch * size.frames, frames: 1 };
                result.add(["y evaluated", "y"][i], &layout.spread(rows, expected), actual);
            }
            _ if mixed && !rounds => {
                let which = (i - 2) % 4;
                result.add_within(MIXED_TOLERANCES[which.min(1)], OUTPUTS[which], expected, actual);
            }
            _ => result.add(OUTPUTS[(i - 2) % 4], expected, actual),
        }
    }
    assert_eq!(expected.len(), actual.len());
    Ok(result.done())
}

/// What [`run`] should bring, tensors of just the batch.
fn expected(case: Case, mixed: bool) -> Vec<Vec<f64>> {
    let given = Given::new(case);
    let factors = |level: usize| dropout::factors(case.size.batch, case.hidden, case.p, SEED, level as u32);
    let one = vec![1.0; case.size.batch * case.hidden];
    let (y_evaluated, _) = backed(case, &given, mixed, |_| one.clone());
    let (y, gradients) = backed(case, &given, mixed, factors);
    [vec![y_evaluated, y], gradients].concat()
}

/// y, and the gradients of all parameters, with what dropout multiplies each level with.
fn backed(case: Case, given: &Given, mixed: bool, factors: impl Fn(usize) -> Vec<f64>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let Case { cell, size: Size { batch, frames }, hidden, levels, .. } = case;
    let operand = |values: &[f64]| values.iter().map(|&v| if mixed { half::round(v) } else { v }).collect::<Vec<_>>();
    let size = Recurrence { time: frames, batch, hidden };
    let product =
        |level: usize| linear::Size { rows: batch * frames, inputs: case.shape(level).inputs, outputs: cell.gates() * hidden };
    let mut x = vec![given.x.clone()];
    let mut projected = Vec::new();
    for level in 0..levels {
        let [weight_ih, weight_hh, bias_ih, bias_hh] = &given.parameters[level];
        let a = linear::forward(product(level), &operand(&x[level]), &operand(weight_ih), Some(bias_ih));
        let h = match cell {
            Cell::RnnTanh => rnn::forward(size, Activation::Tanh, &a, weight_hh, bias_hh),
            Cell::RnnRelu => rnn::forward(size, Activation::Relu, &a, weight_hh, bias_hh),
            Cell::Lstm => lstm::forward(size, &a, weight_hh, bias_hh).h,
            Cell::Gru => gru::forward(size, &a, weight_hh, bias_hh).h,
        };
        x.push(dropout::apply(&h, &factors(level)));
        projected.push((a, h));
    }
    let (mut dy, mut gradients) = (given.dy.clone(), Vec::new());
    for level in (0..levels).rev() {
        let [weight_ih, weight_hh, _, bias_hh] = &given.parameters[level];
        let (a, h) = &projected[level];
        let dh = dropout::apply(&dy, &factors(level));
        let Gradients { da, dweight, dbias } = match cell {
            Cell::RnnTanh => rnn::backward(size, Activation::Tanh, weight_hh, h, &dh),
            Cell::RnnRelu => rnn::backward(size, Activation::Relu, weight_hh, h, &dh),
            Cell::Lstm => lstm::backward(size, weight_hh, &lstm::forward(size, a, weight_hh, bias_hh), &dh),
            Cell::Gru => gru::backward(size, weight_hh, &gru::forward(size, a, weight_hh, bias_hh), &dh),
        };
        let dweight_ih = linear::backward_weight(product(level), &operand(&x[level]), &operand(&da));
        gradients.push([dweight_ih, dweight, linear::backward_bias(product(level), &da), dbias]);
        dy = linear::backward_input(product(level), &operand(&da), &operand(weight_ih));
    }
    gradients.reverse();
    (x.pop().unwrap_or_default(), gradients.into_iter().flatten().collect())
}
