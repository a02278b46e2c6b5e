//! Launcher of `indrnn.wgsl`: the recurrence alone, step by step or as a scan.

use super::indrnn_scan::IndrnnScan;
use super::reduce::Reduce;
use super::{Map, Param, Size, indrnn_contest};
use crate::gpu::{Dispatch, Element, Gpu, GpuError, Grid, Pass, Shader, Tensor};

const INDRNN: Shader = Shader("indrnn");
/// The most steps of one dispatch: a few chains wait for memory at every step, 3 us on the slowest adapters, however
/// little work that is; and lavapipe leaves a loop without a word after 65,535 turns.
const MOST_STEPS: usize = 1 << 15;

/// Which kernels run a recurrence: equal in algebra, not in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndrnnPath {
    /// `indrnn.wgsl`: an invocation per chain walks the whole sequence.
    Sequential,
    /// `indrnn_scan.wgsl`: chunks of the sequence side by side, for few chains and long sequences.
    Scan,
}

/// `h[t] = relu(a[t] + u h[t-1])` over a whole sequence (time, batch, hidden).
pub struct IndrnnRecurrence {
    kernels: Kernels,
    reduce: Reduce,
}

enum Kernels {
    Sequential(Sequential),
    Scan(IndrnnScan),
}

impl IndrnnRecurrence {
    /// Prepares the kernels from `a` to `h`, both (time, batch, hidden); `scratch` holds batch x hidden floats. Which
    /// kernels is measured where it may matter ([`Gpu::choose`]).
    pub fn new(gpu: &Gpu, a: &Map, h: &Map, u: &Param, scratch: &Tensor) -> Result<Self, GpuError> {
        let shape = a.value.tensor.shape();
        let capacity = Size { frames: shape[0], batch: shape[1] };
        let path = indrnn_contest::choose(gpu, capacity, a.value.stride);
        Self::with_path(gpu, path, capacity, a, h, u, scratch)
    }

    /// As [`IndrnnRecurrence::new`], by the kernels of `path`, for batches up to `capacity`.
    pub fn with_path(
        gpu: &Gpu,
        path: IndrnnPath,
        capacity: Size,
        a: &Map,
        h: &Map,
        u: &Param,
        scratch: &Tensor,
    ) -> Result<Self, GpuError> {
        let kernels = match path {
            IndrnnPath::Sequential => Kernels::Sequential(Sequential::new(gpu, capacity, a, h, u, scratch)?),
            IndrnnPath::Scan => Kernels::Scan(IndrnnScan::new(gpu, capacity, a, h, u, scratch)?),
        };
        let hidden = a.value.stride;
        Ok(Self { kernels, reduce: Reduce::new(gpu, hidden, 0, scratch, &u.grad)? })
    }

    /// The same with at most `steps` in one dispatch of the sequential kernels: the bits are the same, which a test holds.
    #[must_use]
    pub fn with_most_steps(mut self, steps: usize) -> Self {
        if let Kernels::Sequential(sequential) = &mut self.kernels {
            sequential.most_steps = steps;
        }
        self
    }

    /// h from a.
    pub fn forward(&self, pass: &mut Pass<'_>, size: Size) {
        match &self.kernels {
            Kernels::Sequential(sequential) => sequential.forward(pass, size),
            Kernels::Scan(scan) => scan.forward(pass, size),
        }
    }

    /// da and du from dh.
    pub fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        match &self.kernels {
            Kernels::Sequential(sequential) => sequential.backward(pass, size),
            Kernels::Scan(scan) => scan.backward(pass, size),
        }
        self.reduce.run(pass, size.batch);
    }
}

struct Sequential {
    hidden: usize,
    most_steps: usize,
    forward: Dispatch,
    backward: Dispatch,
}

impl Sequential {
    fn new(gpu: &Gpu, capacity: Size, a: &Map, h: &Map, u: &Param, scratch: &Tensor) -> Result<Self, GpuError> {
        let hidden = a.value.stride;
        let constants = [("HIDDEN", hidden.into())];
        let carried = gpu.tensor("carried gradient", Element::F32, &[capacity.batch, hidden])?;
        let forward = [("a", &a.value.tensor), ("u", &u.value), ("h", &h.value.tensor)];
        let backward = [
            ("u", &u.value),
            ("state", &h.value.tensor),
            ("dh", &h.grad.tensor),
            ("da", &a.grad.tensor),
            ("partial_sums", scratch),
            ("carried", &carried),
        ];
        Ok(Self {
            hidden,
            most_steps: MOST_STEPS,
            forward: INDRNN.dispatch(gpu, "forward", &constants, &forward)?,
            backward: INDRNN.dispatch(gpu, "backward", &constants, &backward)?,
        })
    }

    fn forward(&self, pass: &mut Pass<'_>, size: Size) {
        let step_work = 4 * size.batch * self.hidden;
        let most = self.steps_per_dispatch(pass, step_work);
        for first in (0..size.frames).step_by(most) {
            self.run(pass, &self.forward, size, first, most.min(size.frames - first), step_work);
        }
    }

    fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        let step_work = 8 * size.batch * self.hidden;
        let most = self.steps_per_dispatch(pass, step_work);
        for done in (0..size.frames).step_by(most) {
            let count = most.min(size.frames - done);
            self.run(pass, &self.backward, size, size.frames - done - count, count, step_work);
        }
    }

    fn steps_per_dispatch(&self, pass: &Pass<'_>, step_work: usize) -> usize {
        ((pass.work_per_submission() / step_work as f64) as usize).clamp(1, self.most_steps)
    }

    fn run(&self, pass: &mut Pass<'_>, dispatch: &Dispatch, size: Size, first: usize, count: usize, step_work: usize) {
        let immediates = [size.batch, size.frames, first, count].map(|number| number as u32);
        pass.run(dispatch, Grid::threads(size.batch * self.hidden, 64), &immediates, count * step_work);
    }
}
