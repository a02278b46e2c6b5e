//! `gradient_clip.wgsl` and `adam.wgsl` beside [`reference::gradient_clip`] and [`reference::adam`].

use super::bench::Bench;
use super::comparison::{Comparison, Comparisons};
use crate::gpu::{ArenaPlan, Gpu, GpuError};
use crate::layers::{Declarations, FileLayout, Initial, Parameters};
use crate::optim::{Adam, AdamSettings};
use crate::reference;
use crate::reference::noise::Noise;

const STEPS: usize = 10;
const LEARNING_RATE: f32 = 0.01;
const LIMIT: f32 = 0.75;

/// Ten updates to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Rows and columns of the weight, which decays.
    pub weight: [usize; 2],
    /// Units: a bias, and recurrent weights that stay within 0.75.
    pub hidden: usize,
    /// Clipping and decay; the rest stays PyTorch's.
    pub settings: AdamSettings,
    /// In the fourth step, one gradient is this.
    pub broken: Option<f32>,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let AdamSettings { clip_norm, clip_value, weight_decay, .. } = self.settings;
        write!(
            f,
            "{STEPS} steps of {:?} and {}, norm {clip_norm}, value {clip_value}, decay {weight_decay}",
            self.weight, self.hidden
        )?;
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

/// How far ten updates move the parameters, both moments, and what the device says of the updates.
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

    let adam = Adam::new(gpu, &parameters, settings)?;
    let (mut values, mut moments) = (before.clone(), [vec![0.0; elements], vec![0.0; elements]]);
    let (mut norm, mut made) = (0.0, 0);
    for step in 0..STEPS {
        let mut gradient = in_arena(noise.numbers(elements));
        let broken = case.broken.filter(|_| step == 3);
        if let Some(broken) = broken {
            gradient[parts[0].count / 2] = f64::from(broken);
        }
        bench.put(parameters.gradients().whole(), &gradient);
        bench.run(|pass| adam.step(pass, LEARNING_RATE))?;
        if broken.is_some() {
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
            let place = part.start..part.start + part.count;
            let rule = reference::adam::Adam { weight_decay: part.decay, ..reference::adam::Adam::new(f64::from(LEARNING_RATE)) };
            let [m, v] = &mut moments;
            reference::adam::step(
                rule,
                made,
                &mut values[place.clone()],
                &gradient[place.clone()],
                &mut m[place.clone()],
                &mut v[place.clone()],
            );
            if part.limit > 0.0 {
                reference::indrnn::constrain(&mut values[place], part.limit);
            }
        }
    }

    let after = bench.get(parameters.values().whole())?;
    let moved =
        |values: &mut dyn Iterator<Item = f64>| values.zip(&before).map(|(value, before)| value - before).collect::<Vec<f64>>();
    let moved_expected = moved(&mut values.iter().copied());
    let moved_actual: Vec<f32> =
        moved(&mut after.iter().map(|&value| f64::from(value))).into_iter().map(|value| value as f32).collect();
    let state = adam.state(gpu)?;
    let [first, second] = adam.moments();
    let mut result = Comparisons::new("adam", &case);
    result.add("moves", &moved_expected, &moved_actual);
    result.add("first moment", &moments[0], &bench.get(first)?);
    result.add("second moment", &moments[1], &bench.get(second)?);
    result.add("norm", &[norm], &[state.norm]);
    let withheld = STEPS as u64 - made;
    result.add_within(
        0.0,
        "updates made and withheld",
        &[made as f64, withheld as f64],
        &[state.steps as f32, state.withheld as f32],
    );
    Ok(result.done())
}

fn parts(plan: &ArenaPlan, decay: f64) -> Vec<Part> {
    let traits = [(decay, 0.0), (0.0, 0.0), (0.0, f64::from(LIMIT))];
    let part =
        |(index, (decay, limit))| Part { start: plan.start(index), count: plan.shape(index).iter().product(), decay, limit };
    traits.into_iter().enumerate().map(part).collect()
}
