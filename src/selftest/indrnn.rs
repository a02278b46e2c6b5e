//! `indrnn.wgsl` beside [`reference::indrnn`].

use super::bench::{Bench, Layout, single};
use super::comparison::{Comparison, Comparisons};
use crate::gpu::{Gpu, GpuError};
use crate::layers::{Declarations, FileLayout, IndrnnRecurrence, Initial, Parameters, Size};
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
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Size { batch, frames } = self.size;
        write!(f, "{frames} x {batch} x {}, {:?} weights", self.hidden, self.weights)?;
        super::describe_capacity(f, self.size, self.capacity, usize::MAX)
    }
}

/// Forward, and the gradients of input and recurrent weights. Backward is judged from the states that the kernel itself
/// left: which of them are 0 is a matter of rounding where a sum nearly vanishes.
pub fn check(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let Case { size: Size { batch, frames }, capacity, hidden, weights } = case;
    let (bench, size) = (Bench::new(gpu), reference::indrnn::Size { time: frames, batch, hidden });
    let mut noise = Noise::new(size.input_len() as u64);
    let (a, dh) = (noise.numbers(size.input_len()), noise.numbers(size.input_len()));
    let near_one = |number: f64| f64::from((1.0 + number / 64.0).min(1.0) as f32);
    let u: Vec<f64> = noise
        .numbers(hidden)
        .into_iter()
        .map(|number| match weights {
            Weights::Positive => near_one(number),
            Weights::Negative => -near_one(number),
            Weights::Zero => 0.0,
            Weights::Mixed => number,
        })
        .collect();

    let mut declarations = Declarations::default();
    declarations.parameter("u".into(), &[hidden], FileLayout::Vector, Initial::Constant(0.0));
    let parameters = Parameters::new(gpu, declarations)?;
    bench.poison(parameters.gradients().whole());
    let u_tensors = parameters.parameter("u");
    bench.put(&u_tensors.value, &u);
    let (layout, run) = (Layout::rows(capacity.batch * capacity.frames, hidden), Size { batch: batch * frames, frames: 1 });
    let a_map = bench.map("a", layout, &layout.spread(run, &a), &layout.nothing())?;
    let h_map = bench.map("h", layout, &layout.nothing(), &layout.spread(run, &dh))?;
    let scratch = bench.poisoned("scratch", &[capacity.batch * hidden])?;
    let layer = IndrnnRecurrence::new(gpu, &a_map, &h_map, &u_tensors, &scratch)?;
    bench.run(|pass| {
        layer.forward(pass, case.size);
        layer.backward(pass, case.size);
    })?;

    let h = bench.get(&h_map.value.tensor)?;
    let gradients = reference::indrnn::backward(size, &u, None, &single(&h[..size.input_len()]), &dh);
    let mut result = Comparisons::new("indrnn", &case);
    result.add("h", &layout.spread(run, &reference::indrnn::forward(size, &a, &u, None)), &h);
    result.add("da", &layout.spread(run, &gradients.da), &bench.get(&a_map.grad.tensor)?);
    result.add("du", &gradients.du, &bench.get(&u_tensors.grad)?);
    Ok(result.done())
}
