//! Launcher of `adam.wgsl` and `sgd.wgsl`.

use super::gradient_clip::GradientClip;
use super::{OptimizerSettings, Rule};
use crate::gpu::{Dispatch, Element, Gpu, GpuError, Grid, Pass, Shader, Tensor};
use crate::layers::Parameters;

const ADAM: Shader = Shader("adam");
const SGD: Shader = Shader("sgd");

/// What the device keeps of the updates, all zero before the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimizerState {
    /// Norm of the last gradient.
    pub norm: f32,
    /// Updates that were withheld because a gradient was not finite.
    pub withheld: u64,
    /// Updates made.
    pub steps: u64,
    /// What the gradients to come are multiplied by: 1 in f32.
    pub gradient_scale: f32,
}

/// An optimiser over a network's parameters.
pub struct Optimizer {
    settings: OptimizerSettings,
    elements: usize,
    tensors: Vec<(&'static str, Tensor)>,
    control: Tensor,
    clip: GradientClip,
    step: Dispatch,
}

impl Optimizer {
    /// Prepares the kernels; moments and step counts start at zero.
    pub fn new(gpu: &Gpu, parameters: &Parameters, settings: OptimizerSettings) -> Result<Self, GpuError> {
        Self::with_gradients(gpu, parameters, parameters.gradients().whole(), settings)
    }

    /// As [`Optimizer::new`], with `gradients` (laid out as the parameter arena) in place of those of the last batch.
    pub fn with_gradients(
        gpu: &Gpu,
        parameters: &Parameters,
        gradients: &Tensor,
        settings: OptimizerSettings,
    ) -> Result<Self, GpuError> {
        let elements = parameters.values().plan().elements();
        let tensor = |label: &str, shape: &[usize]| gpu.tensor(label, Element::F32, shape);
        let (traits, control) = (tensor("traits", &[elements, 2])?, tensor("control", &[8])?);
        gpu.write(&traits, &element_traits(parameters, settings.weight_decay));
        let names: &[&str] = match settings.rule {
            Rule::Adam { .. } => &["first_moment", "second_moment"],
            Rule::Sgd { .. } => &["momentum"],
        };
        let tensors: Vec<(&str, Tensor)> =
            names.iter().map(|name| Ok((*name, tensor(name, &[elements])?))).collect::<Result<_, GpuError>>()?;
        let mut bindings = vec![
            ("gradients", gradients),
            ("control", &control),
            ("traits", &traits),
            ("parameters", parameters.values().whole()),
        ];
        bindings.extend(tensors.iter().map(|(name, tensor)| (*name, tensor)));
        let count = ("COUNT", elements.into());
        let step = match settings.rule {
            Rule::Adam { decoupled, .. } => ADAM.dispatch(gpu, "step", &[count, ("DECOUPLED", decoupled.into())], &bindings)?,
            Rule::Sgd { .. } => SGD.dispatch(gpu, "step", &[count], &bindings)?,
        };
        let clip = GradientClip::new(gpu, gradients, parameters.gradient_scale(), &control)?;
        Ok(Self { settings, elements, tensors, control, clip, step })
    }

    /// Records one update; withheld on the device if a gradient is not finite.
    pub fn step(&self, pass: &mut Pass<'_>, learning_rate: f32) {
        let OptimizerSettings { rule, clip_norm, clip_value, .. } = self.settings;
        self.clip.measure(pass, clip_norm);
        let grid = Grid::threads(self.elements, 64);
        match rule {
            Rule::Adam { beta1, beta2, epsilon, .. } => {
                let ln = |beta: f32| f64::from(beta).ln() as f32;
                let immediates = [learning_rate, beta1, beta2, epsilon, clip_value, ln(beta1), ln(beta2)].map(f32::to_bits);
                pass.run(&self.step, grid, &immediates, 20 * self.elements);
            }
            Rule::Sgd { momentum } => {
                let immediates = [learning_rate, momentum, clip_value].map(f32::to_bits);
                pass.run(&self.step, grid, &immediates, 10 * self.elements);
            }
        }
    }

    /// What it keeps of earlier gradients, each laid out as the parameter arena: `first_moment` and `second_moment`, or
    /// `momentum`.
    pub fn tensors(&self) -> &[(&'static str, Tensor)] {
        &self.tensors
    }

    /// The tensor behind [`Optimizer::state`], for a read-back that does not wait.
    pub fn control(&self) -> &Tensor {
        &self.control
    }

    /// Goes on from so many updates.
    pub fn set_steps(&self, gpu: &Gpu, steps: f32) {
        gpu.write(&self.control.view(4, &[1]), &[steps]);
    }

    /// Reads what the device keeps; waits.
    pub fn state(&self, gpu: &Gpu) -> Result<OptimizerState, GpuError> {
        Ok(Self::parse(&gpu.read::<f32>(&self.control)?))
    }

    /// What the values of [`Optimizer::control`] say.
    pub fn parse(control: &[f32]) -> OptimizerState {
        let [_, _, norm, withheld, steps, gradient_scale, ..] = *control else { panic!("control has 8 numbers") };
        OptimizerState { norm, withheld: withheld as u64, steps: steps as u64, gradient_scale }
    }
}

/// Per element of the arena: weight decay and largest magnitude.
fn element_traits(parameters: &Parameters, weight_decay: f32) -> Vec<f32> {
    let plan = parameters.values().plan();
    let mut traits = vec![0.0; 2 * plan.elements()];
    for (place, spec) in parameters.declarations().parameters.iter().enumerate() {
        let count: usize = spec.shape.iter().product();
        for pair in traits[2 * plan.start(place)..2 * (plan.start(place) + count)].chunks_exact_mut(2) {
            pair[0] = if spec.decays { weight_decay } else { 0.0 };
            pair[1] = spec.limit;
        }
    }
    traits
}
