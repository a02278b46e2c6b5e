//! By how much all gradients are larger than they are while they are on their way, so that f16 holds the small ones.

use crate::gpu::{Element, Gpu, GpuError, Precision, Tensor};

/// Under mixed precision, at first; `gradient_clip.wgsl` halves and doubles it from there.
const FIRST: f32 = 32_768.0;
/// It is not halved below this: gradients that are not finite even so are not the scale's fault.
pub const LEAST_GRADIENT_SCALE: f32 = 1.0;

/// The scale that the loss gives its gradient, a power of two, and the updates that were made since it last changed: (2).
///
/// The optimiser takes it away again. Where a gradient is not finite it withholds the update and halves the scale; after many
/// updates in a row it doubles it (dynamic loss scaling: Micikevicius et al. 2018, "Mixed Precision Training"). In f32 it is 1
/// and stays so.
#[derive(Debug, Clone)]
pub struct GradientScale(Tensor);

impl GradientScale {
    /// Allocates it with what the handle's precision begins with.
    pub fn new(gpu: &Gpu) -> Result<Self, GpuError> {
        let tensor = gpu.tensor("gradient scale", Element::F32, &[2])?;
        let first = if gpu.precision() == Precision::Mixed { FIRST } else { 1.0 };
        gpu.write(&tensor, &[first, 0.0]);
        Ok(Self(tensor))
    }

    /// Scale and updates since it changed, on the device.
    pub fn tensor(&self) -> &Tensor {
        &self.0
    }
}
