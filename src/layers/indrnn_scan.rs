//! Launcher of `indrnn_scan.wgsl`: the recurrence cut into chunks of time that run side by side.

use super::indrnn::Sums;
use super::{Map, Param, Size};
use crate::gpu::{Dispatch, Gpu, GpuError, Grid, Pass, Shader};

const SCAN: Shader = Shader("indrnn_scan");
/// Invocations of a workgroup: what every adapter takes.
const LANES: usize = 256;
/// Neighbouring chains that a workgroup reads together where there are as many: 16 bytes.
const FEWEST_CHAINS: usize = 4;

/// The recurrence of [`super::IndrnnRecurrence`], in algebra and not in bits.
pub(super) struct IndrnnScan {
    hidden: usize,
    chains: usize,
    forward: Dispatch,
    backward: Dispatch,
}

impl IndrnnScan {
    /// Prepares the kernels from `a` to `h` for batches up to `capacity`.
    pub(super) fn new(gpu: &Gpu, capacity: Size, a: &Map, h: &Map, u: &Param, sums: Sums<'_>) -> Result<Self, GpuError> {
        let hidden = a.value.stride;
        let [chains, chunks] = decomposition(capacity.batch * hidden, capacity.frames);
        let constants = [("HIDDEN", hidden.into()), ("CHAINS", chains.into()), ("CHUNKS", chunks.into())];
        let [(forward_entry, mut forward), (backward_entry, mut backward)] = sums.entries();
        forward.extend([("a", &a.value.tensor), ("u", &u.value), ("h", &h.value.tensor)]);
        backward.extend([("u", &u.value), ("state", &h.value.tensor), ("dh", &h.grad.tensor), ("da", &a.grad.tensor)]);
        Ok(Self {
            hidden,
            chains,
            forward: SCAN.dispatch(gpu, forward_entry, &constants, &forward)?,
            backward: SCAN.dispatch(gpu, backward_entry, &constants, &backward)?,
        })
    }

    /// h from a.
    pub(super) fn forward(&self, pass: &mut Pass<'_>, size: Size) {
        self.run(pass, &self.forward, size, 10);
    }

    /// da and the du of each sample from dh.
    pub(super) fn backward(&self, pass: &mut Pass<'_>, size: Size) {
        self.run(pass, &self.backward, size, 14);
    }

    /// `work` is that of a step of one chain. Chains know nothing of each other: many of them go into several dispatches.
    fn run(&self, pass: &mut Pass<'_>, dispatch: &Dispatch, size: Size, work: usize) {
        let groups = (size.batch * self.hidden).div_ceil(self.chains);
        let group_work = work * self.chains * size.frames;
        let most = (pass.work_per_submission() / group_work as f64).max(1.0) as usize;
        for first in (0..groups).step_by(most) {
            let count = most.min(groups - first);
            let immediates = [size.batch as u32, size.frames as u32, first as u32];
            pass.run(dispatch, Grid::linear(count), &immediates, count * group_work);
        }
    }
}

/// Chains and chunks of a workgroup. About as many chunks as a chunk has steps makes walking them and replaying one take
/// equally long; the lanes that are left go to neighbouring chains.
fn decomposition(chains: usize, frames: usize) -> [usize; 2] {
    let chains = chains.next_power_of_two();
    let chunks = (frames as f64).sqrt().ceil() as usize;
    let chunks = chunks.next_power_of_two().min(LANES / chains.min(FEWEST_CHAINS));
    [chains.min(LANES / chunks), chunks]
}

#[cfg(test)]
mod tests {
    use super::decomposition;

    #[test]
    fn workgroups_hold_neighbouring_chains_and_cut_long_sequences_finer() {
        for (chains, frames, expected) in [
            (1, 1, [1, 1]),
            (4096, 647, [8, 32]),
            (16, 5000, [4, 64]),
            (1, 20_000, [1, 256]),
            (3, 20_000, [4, 64]),
            (13, 2, [16, 2]),
        ] {
            assert_eq!(decomposition(chains, frames), expected, "{chains} chains of {frames} frames");
        }
    }
}
