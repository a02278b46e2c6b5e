//! `accumulate.wgsl` beside sums in `f64`.

use super::bench::Bench;
use super::comparison::{Comparison, Comparisons};
use crate::gpu::{Gpu, GpuError};
use crate::layers::{Declarations, FileLayout, Initial, Parameters};
use crate::optim::Accumulate;
use crate::reference::noise::Noise;

/// Gradients to add up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Elements of the one parameter.
    pub elements: usize,
    /// Batches of an update.
    pub batches: usize,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} gradients of {} batches", self.elements, self.batches)
    }
}

/// The sums of two updates, of which the first finds NaN in their place and the second the sums of the first.
pub fn check(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let bench = Bench::new(gpu);
    let mut declarations = Declarations::default();
    declarations.parameter("weight".into(), &[case.elements], FileLayout::Vector, Initial::Constant(0.0));
    let parameters = Parameters::new(gpu, declarations)?;
    let gradients = parameters.gradients().whole();
    let accumulate = Accumulate::new(gpu, &parameters)?;
    bench.poison(accumulate.sum());
    let (mut noise, mut result) = (Noise::new(case.elements as u64), Comparisons::new("accumulate", &case));
    for compared in ["first sum", "second sum"] {
        let mut expected = vec![0.0; gradients.elements()];
        for batch in 0..case.batches {
            let values = noise.numbers(gradients.elements());
            expected.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value);
            bench.put(gradients, &values);
            bench.run(|pass| accumulate.add(pass, batch == 0))?;
        }
        result.add(compared, &expected, &bench.get(accumulate.sum())?);
    }
    Ok(result.done())
}
