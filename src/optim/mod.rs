//! What turns gradients into updates: clipping and Adam, over the whole arena at once.

use crate::gpu::{Dispatch, Element, Gpu, GpuError, Grid, Pass, Shader, Tensor};
use crate::layers::Parameters;

const ADAM: Shader = Shader("adam");
const GRADIENT_CLIP: Shader = Shader("gradient_clip");
/// Workgroups of the norm's first stage: as in the shader.
const NORM_GROUPS: usize = 64;

/// Adam's settings (Kingma & Ba 2015), with decoupled weight decay (Loshchilov & Hutter 2019).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamSettings {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Times the learning rate, on parameters that decay.
    pub weight_decay: f32,
    /// Gradients are scaled down to this norm; 0 leaves them.
    pub clip_norm: f32,
    /// Gradient elements are clamped to plus or minus this; 0 leaves them.
    pub clip_value: f32,
}

impl Default for AdamSettings {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, clip_norm: 0.0, clip_value: 0.0 }
    }
}

/// What the device keeps of the updates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimizerState {
    /// Norm of the last gradient.
    pub norm: f32,
    /// Updates that were withheld because a gradient was not finite.
    pub withheld: u64,
    /// Updates made.
    pub steps: u64,
}

/// Adam over a network's parameters.
pub struct Adam {
    settings: AdamSettings,
    elements: usize,
    first_moment: Tensor,
    second_moment: Tensor,
    control: Tensor,
    partial_norm: Dispatch,
    finish_norm: Dispatch,
    step: Dispatch,
}

impl Adam {
    /// Prepares the kernels; moments and step counts start at zero.
    pub fn new(gpu: &Gpu, parameters: &Parameters, settings: AdamSettings) -> Result<Self, GpuError> {
        let (values, gradients) = (parameters.values().whole(), parameters.gradients().whole());
        let elements = values.elements();
        let tensor = |label: &str, shape: &[usize]| gpu.tensor(label, Element::F32, shape);
        let (first_moment, second_moment) = (tensor("first moment", &[elements])?, tensor("second moment", &[elements])?);
        let (traits, control, sums) =
            (tensor("traits", &[elements, 2])?, tensor("control", &[8])?, tensor("norm sums", &[NORM_GROUPS])?);
        gpu.write(&traits, &element_traits(parameters, settings.weight_decay));
        let count = [("COUNT", elements.into())];
        let norm = [("COUNT", elements.into()), ("GROUPS", NORM_GROUPS.into())];
        let state = [
            ("gradients", gradients),
            ("control", &control),
            ("traits", &traits),
            ("parameters", values),
            ("first_moment", &first_moment),
            ("second_moment", &second_moment),
        ];
        Ok(Self {
            settings,
            elements,
            partial_norm: GRADIENT_CLIP.dispatch(
                gpu,
                "partial_norm",
                &norm,
                &[("gradients", gradients), ("partial_sums", &sums)],
            )?,
            finish_norm: GRADIENT_CLIP.dispatch(gpu, "finish", &norm, &[("sums", &sums), ("control", &control)])?,
            step: ADAM.dispatch(gpu, "step", &count, &state)?,
            first_moment,
            second_moment,
            control,
        })
    }

    /// Records one update; withheld on the device if a gradient is not finite.
    pub fn step(&self, pass: &mut Pass<'_>, learning_rate: f32) {
        let AdamSettings { beta1, beta2, epsilon, clip_norm, clip_value, .. } = self.settings;
        pass.run(&self.partial_norm, Grid::linear(NORM_GROUPS), &[], self.elements);
        pass.run(&self.finish_norm, Grid::linear(1), &[clip_norm.to_bits()], NORM_GROUPS * 64);
        let ln = |beta: f32| f64::from(beta).ln() as f32;
        let immediates = [learning_rate, beta1, beta2, epsilon, clip_value, ln(beta1), ln(beta2)].map(f32::to_bits);
        pass.run(&self.step, Grid::threads(self.elements, 64), &immediates, 20 * self.elements);
    }

    /// The two moments, laid out as the parameter arena.
    pub fn moments(&self) -> [&Tensor; 2] {
        [&self.first_moment, &self.second_moment]
    }

    /// The tensor behind [`Adam::state`], for a read-back that does not wait.
    pub fn control(&self) -> &Tensor {
        &self.control
    }

    /// Reads what the device keeps; waits.
    pub fn state(&self, gpu: &Gpu) -> Result<OptimizerState, GpuError> {
        Ok(Self::parse(&gpu.read::<f32>(&self.control)?))
    }

    /// What the values of [`Adam::control`] say.
    pub fn parse(control: &[f32]) -> OptimizerState {
        OptimizerState { norm: control[2], withheld: control[3] as u64, steps: control[4] as u64 }
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
