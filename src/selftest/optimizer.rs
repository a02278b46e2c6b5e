//! `gradient_clip.wgsl` with `adam.wgsl` and `sgd.wgsl` beside [`reference::gradient_clip`], [`reference::adam`] and
//! [`reference::sgd`].

use super::bench::Bench;
use super::comparison::{Comparison, Comparisons};
use crate::gpu::{ArenaPlan, Gpu, GpuError, Precision};
use crate::layers::{Declarations, FileLayout, Initial, Parameters};
use crate::optim::{Optimizer, OptimizerSettings, Rule};
use crate::reference;
use crate::reference::noise::Noise;

const STEPS: usize = 10;
const LIMIT: f32 = 0.75;

/// Ten updates to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Rows and columns of the weight, which decays.
    pub weight: [usize; 2],
    /// Units: a bias, and recurrent weights that stay within 0.75.
    pub hidden: usize,
    /// Rule, clipping and decay.
    pub settings: OptimizerSettings,
    /// In the fourth step, one gradient is this.
    pub broken: Option<f32>,
    /// What gradients are multiplied by at first; only under mixed precision another than 1.
    pub gradient_scale: f64,
}

impl Case {
    /// SGD's steps are as small as its gradients: enough for them to stand out from the rounding of what they move.
    fn learning_rate(&self) -> f32 {
        if matches!(self.settings.rule, Rule::Sgd { .. }) { 0.1 } else { 0.01 }
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let OptimizerSettings { rule, clip_norm, clip_value, weight_decay } = self.settings;
        write!(
            f,
            "{STEPS} steps of {:?} and {}, {rule:?}, norm {clip_norm}, value {clip_value}, decay {weight_decay}",
            self.weight, self.hidden
        )?;
        if self.gradient_scale != 1.0 {
            write!(f, ", gradients times {}", self.gradient_scale)?;
        }
        self.broken.map_or(Ok(()), |broken| write!(f, ", a gradient is {broken}"))
    }
}

/// Where each parameter begins in the arena, how long it is, its decay and its limit.
struct Part {
    start: usize,
    count: usize,
    decay: f64,
    limit: f64,
}

/// How far ten updates move the parameters, what they keep of the gradients, and what the device says of the updates: the same
/// whatever the gradients' scale.
pub fn check(gpu: &Gpu, case: Case) -> Result<Vec<Comparison>, GpuError> {
    let (bench, settings) = (Bench::new(gpu), case.settings);
    let mut declarations = Declarations::default();
    declarations.parameter("weight".into(), &case.weight, FileLayout::Linear, Initial::Constant(0.0));
    declarations.parameter("bias".into(), &[case.hidden], FileLayout::Vector, Initial::Constant(0.0));
    declarations.parameter("recurrent".into(), &[case.hidden], FileLayout::Vector, Initial::Constant(0.0)).limit = LIMIT;
    let parameters = Parameters::new(gpu, declarations)?;
    let parts = parts(parameters.values().plan(), f64::from(settings.weight_decay));
    let elements = parameters.values().plan().elements();
    let in_arena = |values: Vec<f64>| -> Vec<f64> {
        let mut arena = vec![0.0; elements];
        for part in &parts {
            let place = part.start..part.start + part.count;
            arena[place.clone()].copy_from_slice(&values[place]);
        }
        arena
    };
    let mut noise = Noise::new(elements as u64);
    let before =
        in_arena(noise.numbers(elements).into_iter().map(|value| 0.7 * value).map(|value| f64::from(value as f32)).collect());
    bench.put(parameters.values().whole(), &before);

    let optimizer = Optimizer::new(gpu, &parameters, settings)?;
    let mut values = before.clone();
    let mut kept = vec![vec![0.0; elements]; optimizer.tensors().len()];
    let (mut norm, mut made, mut scale) = (0.0, 0, case.gradient_scale);
    if gpu.precision() == Precision::Mixed {
        bench.put(parameters.gradient_scale().tensor(), &[scale, 0.0]);
    }
    for step in 0..STEPS {
        let mut gradient = in_arena(noise.numbers(elements));
        let broken = case.broken.filter(|_| step == 3);
        if let Some(broken) = broken {
            gradient[parts[0].count / 2] = f64::from(broken);
        }
        let scaled: Vec<f64> = gradient.iter().map(|gradient| gradient * scale).collect();
        bench.put(parameters.gradients().whole(), &scaled);
        bench.run(|pass| optimizer.step(pass, case.learning_rate()))?;
        if broken.is_some() {
            // Of no use at 1, and not at all in f32.
            scale = (scale / 2.0).max(1.0);
            continue;
        }
        norm = reference::gradient_clip::norm(&gradient);
        if settings.clip_norm > 0.0 {
            reference::gradient_clip::by_norm(&mut gradient, f64::from(settings.clip_norm));
        }
        if settings.clip_value > 0.0 {
            reference::gradient_clip::by_value(&mut gradient, f64::from(settings.clip_value));
        }
        made += 1;
        for part in &parts {
            update(case, part, made, &mut values, &gradient, &mut kept);
        }
    }

    let after = bench.get(parameters.values().whole())?;
    let moved =
        |values: &mut dyn Iterator<Item = f64>| values.zip(&before).map(|(value, before)| value - before).collect::<Vec<f64>>();
    let moved_expected = moved(&mut values.iter().copied());
    let moved_actual: Vec<f32> =
        moved(&mut after.iter().map(|&value| f64::from(value))).into_iter().map(|value| value as f32).collect();
    let state = optimizer.state(gpu)?;
    let kernel = if matches!(settings.rule, Rule::Sgd { .. }) { "sgd" } else { "adam" };
    let mut result = Comparisons::new(kernel, &case);
    result.add("moves", &moved_expected, &moved_actual);
    for ((name, tensor), kept) in optimizer.tensors().iter().zip(&kept) {
        result.add(name, kept, &bench.get(tensor)?);
    }
    result.add("norm", &[norm], &[state.norm]);
    let withheld = STEPS as u64 - made;
    result.add_within(
        0.0,
        "updates made and withheld, scale",
        &[made as f64, withheld as f64, scale],
        &[state.steps as f32, state.withheld as f32, state.gradient_scale],
    );
    Ok(result.done())
}

/// Moves one parameter as the reference does.
fn update(case: Case, part: &Part, step: u64, values: &mut [f64], gradient: &[f64], kept: &mut [Vec<f64>]) {
    let place = part.start..part.start + part.count;
    let (value, gradient) = (&mut values[place.clone()], &gradient[place.clone()]);
    let learning_rate = f64::from(case.learning_rate());
    match (case.settings.rule, kept) {
        (Rule::Adam { decoupled, .. }, [m, v]) => {
            let rule = reference::adam::Adam { weight_decay: part.decay, decoupled, ..reference::adam::Adam::new(learning_rate) };
            reference::adam::step(rule, step, value, gradient, &mut m[place.clone()], &mut v[place]);
        }
        (Rule::Sgd { momentum }, [buffer]) => {
            let rule = reference::sgd::Sgd { learning_rate, momentum: f64::from(momentum), weight_decay: part.decay };
            reference::sgd::step(rule, value, gradient, &mut buffer[place]);
        }
        (rule, kept) => unreachable!("{rule:?} keeps {} tensors", kept.len()),
    }
    if part.limit > 0.0 {
        reference::indrnn::constrain(value, part.limit);
    }
}

fn parts(plan: &ArenaPlan, decay: f64) -> Vec<Part> {
    let traits = [(decay, 0.0), (0.0, 0.0), (0.0, f64::from(LIMIT))];
    let part =
        |(index, (decay, limit))| Part { start: plan.start(index), count: plan.shape(index).iter().product(), decay, limit };
    traits.into_iter().enumerate().map(part).collect()
}
