//! Launcher of `gradient_clip.wgsl`.

use crate::gpu::{Dispatch, Gpu, GpuError, Grid, Pass, Precision, Shader, Tensor};
use crate::layers::{GradientScale, LEAST_GRADIENT_SCALE};

const GRADIENT_CLIP: Shader = Shader("gradient_clip");
/// Workgroups of the norm's first stage: as in the shader.
const GROUPS: usize = 64;
/// Updates in a row after which the gradients' scale is doubled.
const INTERVAL: usize = 200;

/// The norm of all gradients, whether they are finite, and the factor that clips them.
pub(super) struct GradientClip {
    elements: usize,
    partial_norm: Dispatch,
    finish: Dispatch,
}

impl GradientClip {
    /// Prepares the kernels over `gradients`, which come times `scale`; what they find goes to `control` (8).
    pub(super) fn new(gpu: &Gpu, gradients: &Tensor, scale: &GradientScale, control: &Tensor) -> Result<Self, GpuError> {
        let sums = gpu.tensor("norm sums", gradients.element(), &[GROUPS])?;
        let constants = [
            ("COUNT", gradients.elements().into()),
            ("GROUPS", GROUPS.into()),
            ("DYNAMIC", (gpu.precision() == Precision::Mixed).into()),
            ("INTERVAL", INTERVAL.into()),
            ("LEAST", LEAST_GRADIENT_SCALE.into()),
        ];
        let partial = [("gradients", gradients), ("partial_sums", &sums)];
        let finish = [("sums", &sums), ("control", control), ("gradient_scale", scale.tensor())];
        Ok(Self {
            elements: gradients.elements(),
            partial_norm: GRADIENT_CLIP.dispatch(gpu, "partial_norm", &constants, &partial)?,
            finish: GRADIENT_CLIP.dispatch(gpu, "finish", &constants, &finish)?,
        })
    }

    /// Counts an update, and finds by what its gradients are scaled; `clip_norm` 0 leaves them.
    pub(super) fn measure(&self, pass: &mut Pass<'_>, clip_norm: f32) {
        pass.run(&self.partial_norm, Grid::linear(GROUPS), &[], self.elements);
        pass.run(&self.finish, Grid::linear(1), &[clip_norm.to_bits()], GROUPS * 64);
    }
}
