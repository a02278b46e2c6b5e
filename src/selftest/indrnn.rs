//! `indrnn.wgsl` and `indrnn_scan.wgsl` beside [`reference::indrnn`].

use super::bench::{Bench, Layout, single};
use super::comparison::{Comparison, Comparisons};
use crate::gpu::{Gpu, GpuError};
use crate::layers::{Declarations, FileLayout, IndrnnPath, IndrnnRecurrence, Initial, Parameters, Size};
use crate::reference;
use crate::reference::noise::Noise;

/// The recurrent weights to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// Near 1, where states live long.
    Positive,
    /// Near -1.
    Negative,
    /// No memory.
    Zero,
    /// In [-1, 1).
    Mixed,
    /// Of either sign, so small that a product of a few is 0 in single precision; the smallest are subnormal.
    Underflowing,
}

/// One recurrence to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Samples and frames of this batch.
    pub size: Size,
    /// Samples and frames that the layer is built for; at least `size`.
    pub capacity: Size,
    /// Units.
    pub hidden: usize,
    /// The recurrent weights.
    pub weights: Weights,
    /// Inputs are within plus or minus this.
    pub magnitude: f64,
    /// The kernels.
    pub path: IndrnnPath,
    /// The most steps of one dispatch, if not what the adapter may be given.
    pub most_steps: Option<usize>,
    /// Inputs are positive, so that no state is 0, and only the last step has a gradient: it fades towards the first.
    pub fading: bool,
}

impl Case {
    /// A batch as large as its layer, inputs in [-1, 1), the sequential kernels.
    pub fn new(frames: usize, batch: usize, hidden: usize, weights: Weights) -> Self {
        let size = Size { batch, frames };
        let path = IndrnnPath::Sequential;
        Self { size, capacity: size, hidden, weights, magnitude: 1.0, path, most_steps: None, fading: false }
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Size { batch, frames } = self.size;
        write!(f, "{:?}, {frames} x {batch} x {}, {:?} weights", self.path, self.hidden, self.weights)?;
        if self.magnitude != 1.0 {
            write!(f, ", inputs within {:e}", self.magnitude)?;
        }
        if let Some(steps) = self.most_steps {
            write!(f, ", {steps} steps at a time")?;
        }
        if self.fading {
            write!(f, ", positive inputs, gradient of the last step alone")?;
        }
        super::describe_capacity(f, self.size, self.capacity, usize::MAX)
    }
}

/// What the kernels read and what they left: whole tensors of the layer, (time, batch, hidden).
#[derive(Debug)]
pub struct Run {
    a: Vec<f64>,
    u: Vec<f64>,
    dh: Vec<f64>,
    /// States.
    pub h: Vec<f32>,
    /// Gradient of the input.
    pub da: Vec<f32>,
    /// Gradient of the recurrent weights.
    pub du: Vec<f32>,
}

/// Runs forward and backward.
pub fn run(gpu: &Gpu, case: Case) -> Result<Run, GpuError> {
    let Case { size: Size { batch, frames }, capacity, hidden, weights, .. } = case;
    let (bench, count) = (Bench::new(gpu), frames * batch * hidden);
    let mut noise = Noise::new(count as u64);
    let single = |number: f64| f64::from(number as f32);
    let mut a: Vec<f64> = noise.numbers(count).into_iter().map(|number| single(case.magnitude * number)).collect();
    let mut dh = noise.numbers(count);
    if case.fading {
        a.iter_mut().for_each(|number| *number = number.abs());
        dh[..(frames - 1) * batch * hidden].fill(0.0);
    }
    let near_one = |number: f64| single((1.0 + number / 64.0).min(1.0));
    let weight = |(unit, number): (usize, f64)| match weights {
        Weights::Positive => near_one(number),
        Weights::Negative => -near_one(number),
        Weights::Zero => 0.0,
        Weights::Mixed => number,
        Weights::Underflowing => single(number * [1e-12, 1e-30, 1e-39][unit % 3]),
    };
    let u: Vec<f64> = noise.numbers(hidden).into_iter().enumerate().map(weight).collect();

    let mut declarations = Declarations::default();
    declarations.parameter("u".into(), &[hidden], FileLayout::Vector, Initial::Constant(0.0));
    let parameters = Parameters::new(gpu, declarations)?;
    bench.poison(parameters.gradients().whole());
    let u_tensors = parameters.parameter("u");
    bench.put(&u_tensors.value, &u);
    let (layout, rows) = (layout(case), Size { batch: batch * frames, frames: 1 });
    let a_map = bench.map("a", layout, &layout.spread(rows, &a), &layout.nothing())?;
    let h_map = bench.map("h", layout, &layout.nothing(), &layout.spread(rows, &dh))?;
    let scratch = bench.poisoned("scratch", &[capacity.batch * hidden])?;
    let layer = IndrnnRecurrence::with_path(gpu, case.path, capacity, &a_map, &h_map, &u_tensors, &scratch)?;
    let layer = case.most_steps.into_iter().fold(layer, IndrnnRecurrence::with_most_steps);
    bench.run(|pass| {
        layer.forward(pass, case.size);
        layer.backward(pass, case.size);
    })?;
    let [h, da, du] = [&h_map.value.tensor, &a_map.grad.tensor, &u_tensors.grad].map(|tensor| bench.get(tensor));
    Ok(Run { a, u, dh, h: h?, da: da?, du: du? })
}

fn layout(case: Case) -> Layout {
    Layout::rows(case.capacity.batch * case.capacity.frames, case.hidden)
}

/// Forward, and the gradients of input and recurrent weights. Backward is judged from the states that the kernel itself
/// left: which of them are 0 is a matter of rounding where a sum nearly vanishes.
pub fn check(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let Run { a, u, dh, h, da, du } = run(gpu, case)?;
    let size = reference::indrnn::Size { time: case.size.frames, batch: case.size.batch, hidden: case.hidden };
    let (layout, rows) = (layout(case), Size { batch: case.size.batch * case.size.frames, frames: 1 });
    let gradients = reference::indrnn::backward(size, &u, None, &single(&h[..size.input_len()]), &dh);
    let kernel = match case.path {
        IndrnnPath::Sequential => "indrnn",
        IndrnnPath::Scan => "indrnn_scan",
    };
    let mut result = Comparisons::new(kernel, &case);
    result.add("h", &layout.spread(rows, &reference::indrnn::forward(size, &a, &u, None)), &h);
    result.add("da", &layout.spread(rows, &gradients.da), &da);
    result.add("du", &gradients.du, &du);
    Ok(result.done())
}
