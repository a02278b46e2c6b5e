//! Parameters and running statistics: first declared (names and shapes, no GPU), then allocated in arenas.

use super::GradientScale;
use crate::gpu::{Arena, ArenaPlan, Gpu, GpuError, Tensor};

/// How a tensor lies in a file, where PyTorch's layout rules; in memory the outputs are innermost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileLayout {
    /// Memory (kernel_time, kernel_mel, in, out); file (out, in, kernel_time, kernel_mel).
    Convolution,
    /// Memory (in, out); file (out, in).
    Linear,
    /// The same in both.
    Vector,
}

/// How a parameter begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// All the same.
    Constant(f32),
    /// Uniform between the two.
    Uniform(f32, f32),
}

impl Initial {
    /// Glorot & Bengio 2010: uniform within `sqrt(6 / (fan_in + fan_out))`.
    pub fn glorot_uniform(fan_in: usize, fan_out: usize) -> Self {
        let bound = (6.0 / (fan_in + fan_out) as f64).sqrt() as f32;
        Self::Uniform(-bound, bound)
    }

    /// He et al. 2015 for a leaky ReLU of slope `a`: uniform within `sqrt(6 / ((1 + a^2) fan_in))`.
    pub fn kaiming_uniform(a: f64, fan_in: usize) -> Self {
        let bound = (6.0 / ((1.0 + a * a) * fan_in as f64)).sqrt() as f32;
        Self::Uniform(-bound, bound)
    }
}

/// A trained tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterSpec {
    /// Its name in `model.safetensors`.
    pub name: String,
    /// Its shape in memory.
    pub shape: Vec<usize>,
    /// How it lies in a file.
    pub layout: FileLayout,
    /// How it begins.
    pub initial: Initial,
    /// Whether weight decay applies.
    pub decays: bool,
    /// The largest magnitude that the optimiser leaves it; 0 for none.
    pub limit: f32,
}

/// A running statistic: not trained, kept with the weights.
#[derive(Debug, Clone, PartialEq)]
pub struct StatisticSpec {
    /// Its name in `model.safetensors`.
    pub name: String,
    /// Channels.
    pub length: usize,
    /// 0 for means, 1 for variances.
    pub initial: f32,
}

/// Everything that a network keeps, in order, known without a GPU.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Declarations {
    /// Trained tensors.
    pub parameters: Vec<ParameterSpec>,
    /// Running statistics.
    pub statistics: Vec<StatisticSpec>,
}

impl Declarations {
    /// Adds a trained tensor.
    pub fn parameter(&mut self, name: String, shape: &[usize], layout: FileLayout, initial: Initial) -> &mut ParameterSpec {
        let decays = layout != FileLayout::Vector;
        self.parameters.push(ParameterSpec { name, shape: shape.to_vec(), layout, initial, decays, limit: 0.0 });
        self.parameters.last_mut().expect("pushed above")
    }

    /// Adds a running statistic.
    pub fn statistic(&mut self, name: String, length: usize, initial: f32) {
        self.statistics.push(StatisticSpec { name, length, initial });
    }

    /// Numbers that are trained.
    pub fn trainable(&self) -> usize {
        self.parameters.iter().map(|p| p.shape.iter().product::<usize>()).sum()
    }

    /// Trained numbers and running statistics.
    pub fn total(&self) -> usize {
        self.trainable() + self.statistics.iter().map(|s| s.length).sum::<usize>()
    }
}

/// One parameter on the GPU.
#[derive(Debug, Clone)]
pub struct Param {
    /// The value.
    pub value: Tensor,
    /// Its gradient.
    pub grad: Tensor,
}

/// The three arenas of a network: values and gradients in the same order, and running statistics apart from them (a
/// batch norm reads the first and writes the last in one dispatch).
pub struct Parameters {
    declarations: Declarations,
    values: Arena,
    gradients: Arena,
    gradient_scale: GradientScale,
    statistics: Arena,
}

impl Parameters {
    /// Allocates what is declared, all zeros.
    pub fn new(gpu: &Gpu, declarations: Declarations) -> Result<Self, GpuError> {
        let plan = ArenaPlan::new(gpu, declarations.parameters.iter().map(|p| p.shape.as_slice()));
        let lengths: Vec<[usize; 1]> = declarations.statistics.iter().map(|s| [s.length]).collect();
        let running = ArenaPlan::new(gpu, lengths.iter().map(<[usize; 1]>::as_slice));
        Ok(Self {
            values: Arena::new(gpu, "parameters", &plan)?,
            gradients: Arena::new(gpu, "gradients", &plan)?,
            gradient_scale: GradientScale::new(gpu)?,
            statistics: Arena::new(gpu, "running statistics", &running)?,
            declarations,
        })
    }

    /// What was declared.
    pub fn declarations(&self) -> &Declarations {
        &self.declarations
    }

    /// The arena of values.
    pub fn values(&self) -> &Arena {
        &self.values
    }

    /// The arena of gradients, all of them times the [scale](Self::gradient_scale).
    pub fn gradients(&self) -> &Arena {
        &self.gradients
    }

    /// What the loss multiplies its gradient with, and the optimiser divides by.
    pub fn gradient_scale(&self) -> &GradientScale {
        &self.gradient_scale
    }

    /// The arena of running statistics.
    pub fn statistics(&self) -> &Arena {
        &self.statistics
    }

    /// The parameter of that name. Panics if it was not declared: names are this crate's own.
    pub fn parameter(&self, name: &str) -> Param {
        let place = self.declarations.parameters.iter().position(|p| p.name == name);
        let place = place.unwrap_or_else(|| panic!("no parameter {name} is declared"));
        Param { value: self.values.tensor(place), grad: self.gradients.tensor(place) }
    }

    /// The running statistic of that name. Panics if it was not declared.
    pub fn statistic(&self, name: &str) -> Tensor {
        let place = self.declarations.statistics.iter().position(|s| s.name == name);
        self.statistics.tensor(place.unwrap_or_else(|| panic!("no statistic {name} is declared")))
    }
}
