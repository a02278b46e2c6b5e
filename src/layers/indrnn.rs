//! Launcher of `indrnn.wgsl` and `indrnn_wide.wgsl`: the recurrence alone, step by step or as a scan.

use super::indrnn_scan::IndrnnScan;
use super::reduce::Reduce;
use super::{Map, Param, Size, indrnn_contest};
use crate::gpu::{Dispatch, Element, Gpu, GpuError, Grid, Pass, Shader, Tensor};

const INDRNN: Shader = Shader("indrnn");
/// For software adapters and units in eights.
const WIDE: Shader = Shader("indrnn_wide");
/// Chains of a workgroup; of the wide one, for each of its groups.
const CHAINS: usize = 64;
/// Workgroups of the wide one that keep the processors of a software adapter busy.
const WIDE_WORKGROUPS: usize = 16;
/// The most steps of one dispatch: a few chains wait for memory at every step, 3 us on the slowest adapters, however
/// little work that is; and lavapipe leaves a loop without a word after 65,535 turns.
const MOST_STEPS: usize = 1 << 15;

/// Which kernels run a recurrence: equal in algebra, not in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndrnnPath {
    /// `indrnn.wgsl` or `indrnn_wide.wgsl`: an invocation walks the whole sequence of a chain, or of eight.
    Sequential,
    /// `indrnn_scan.wgsl`: chunks of the sequence side by side, for few chains and long sequences.
    Scan,
}

/// `h[t] = relu(a[t] + u h[t-1])` over a whole sequence (time, batch, hidden).
pub struct IndrnnRecurrence {
    kernels: Kernels,
    /// Of the samples' du, unless someone else adds them up.
    reduce: Option<Reduce>,
}

/// What kernels exchange with a batch norm of the states that is folded into the next product.
pub(super) struct NormedStates {
    /// (batch, hidden, 4): steps, mean and sum of squared differences of each chain, as forward leaves them.
    pub(super) moments: Tensor,
    /// (hidden, 4): mean, inverse deviation, gamma by that, shift.
    pub(super) norm: Tensor,
    /// (hidden, 2): dbeta and dgamma by the rows.
    pub(super) corrections: Tensor,
    /// (batch, hidden, 2): du, and the sum of da, of each chain, as backward leaves them.
    pub(super) chain_sums: Tensor,
}

impl NormedStates {
    pub(super) fn new(gpu: &Gpu, batch: usize, hidden: usize) -> Result<Self, GpuError> {
        let tensor = |label: &str, shape: &[usize]| gpu.tensor(label, Element::F32, shape);
        Ok(Self {
            moments: tensor("moments of states", &[batch, hidden, 4])?,
            norm: tensor("folded norm", &[hidden, 4])?,
            corrections: tensor("corrections", &[hidden, 2])?,
            chain_sums: tensor("sums of chains", &[batch, hidden, 2])?,
        })
    }
}

/// Where backward leaves its sums.
#[derive(Clone, Copy)]
pub(super) enum Sums<'a> {
    /// The du of each sample, batch x hidden floats.
    Samples(&'a Tensor),
    /// What a folded batch norm asks for.
    Normed(&'a NormedStates),
}

impl<'a> Sums<'a> {
    /// The entry points, forward and backward, with what they bind beside the rest.
    pub(super) fn entries(self) -> [(&'static str, Vec<(&'static str, &'a Tensor)>); 2] {
        match self {
            Self::Samples(scratch) => [("forward", Vec::new()), ("backward", vec![("partial_sums", scratch)])],
            Self::Normed(NormedStates { moments, norm, corrections, chain_sums }) => [
                ("forward_with_moments", vec![("moments", moments)]),
                ("backward_through_norm", vec![("norm", norm), ("corrections", corrections), ("chain_sums", chain_sums)]),
            ],
        }
    }
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
        let path = indrnn_contest::choose(gpu, capacity, a.value.stride, false);
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
        let kernels = Kernels::new(gpu, path, capacity, a, h, u, Sums::Samples(scratch))?;
        let hidden = a.value.stride;
        Ok(Self { kernels, reduce: Some(Reduce::new(gpu, hidden, 0, scratch, &u.grad)?) })
    }

    /// As [`IndrnnRecurrence::with_path`], with a batch norm of the states at whose output the gradient of `h` is given. What
    /// becomes of the sums in `states` is left to others.
    pub(super) fn normed(
        gpu: &Gpu,
        path: IndrnnPath,
        a: &Map,
        h: &Map,
        u: &Param,
        states: &NormedStates,
    ) -> Result<Self, GpuError> {
        let shape = a.value.tensor.shape();
        let capacity = Size { frames: shape[0], batch: shape[1] };
        Ok(Self { kernels: Kernels::new(gpu, path, capacity, a, h, u, Sums::Normed(states))?, reduce: None })
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
        self.reduce.iter().for_each(|reduce| reduce.run(pass, size.batch));
    }
}

impl Kernels {
    fn new(gpu: &Gpu, path: IndrnnPath, capacity: Size, a: &Map, h: &Map, u: &Param, sums: Sums<'_>) -> Result<Self, GpuError> {
        Ok(match path {
            IndrnnPath::Sequential => Self::Sequential(Sequential::new(gpu, capacity, a, h, u, sums)?),
            IndrnnPath::Scan => Self::Scan(IndrnnScan::new(gpu, capacity, a, h, u, sums)?),
        })
    }
}

/// Groups of eights that an invocation of `indrnn_wide.wgsl` owns: of 4, 2 and 1 the most that leave workgroups enough.
fn wide_groups(chains: usize) -> usize {
    [4, 2].into_iter().find(|groups| chains >= WIDE_WORKGROUPS * CHAINS * groups).unwrap_or(1)
}

struct Sequential {
    hidden: usize,
    most_steps: usize,
    /// Chains of a workgroup.
    chains: usize,
    forward: Dispatch,
    backward: Dispatch,
}

impl Sequential {
    fn new(gpu: &Gpu, capacity: Size, a: &Map, h: &Map, u: &Param, sums: Sums<'_>) -> Result<Self, GpuError> {
        let hidden = a.value.stride;
        let mut constants = vec![("HIDDEN", hidden.into())];
        let carried = gpu.tensor("carried gradient", Element::F32, &[capacity.batch, hidden])?;
        let [(forward_entry, mut forward), (backward_entry, mut backward)] = sums.entries();
        forward.extend([("a", &a.value.tensor), ("u", &u.value), ("h", &h.value.tensor)]);
        backward.extend([
            ("u", &u.value),
            ("state", &h.value.tensor),
            ("dh", &h.grad.tensor),
            ("da", &a.grad.tensor),
            ("carried", &carried),
        ]);
        let wide = gpu.summary().loads_in_pairs() && hidden.is_multiple_of(8);
        let shader = if wide { WIDE } else { INDRNN };
        let groups = if wide { wide_groups(capacity.batch * hidden) } else { 1 };
        if wide {
            constants.push(("GROUPS", groups.into()));
        }
        Ok(Self {
            hidden,
            most_steps: MOST_STEPS,
            chains: CHAINS * groups,
            forward: shader.dispatch(gpu, forward_entry, &constants, &forward)?,
            backward: shader.dispatch(gpu, backward_entry, &constants, &backward)?,
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
        pass.run(dispatch, Grid::threads(size.batch * self.hidden, self.chains), &immediates, count * step_work);
    }
}
