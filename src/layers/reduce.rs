//! Launcher of `reduce.wgsl`: partial sums become totals, in a fixed order.

use crate::gpu::{Dispatch, Gpu, GpuError, Grid, Pass, Shader, Tensor};

const REDUCE: Shader = Shader("reduce");
/// Elements of a workgroup.
const WIDTH: usize = 32;

/// Sums of the rows of a scratch tensor.
pub(super) struct Reduce {
    elements: usize,
    dispatch: Dispatch,
}

impl Reduce {
    /// Adds the rows of `scratch`, `count` floats each, into `out` from element `first` on.
    pub(super) fn new(gpu: &Gpu, count: usize, first: usize, scratch: &Tensor, out: &Tensor) -> Result<Self, GpuError> {
        Self::skipping(gpu, count, 0, first, scratch, out)
    }

    /// As [`Reduce::new`], where each row has `rest` floats more behind those that are added.
    pub(super) fn skipping(
        gpu: &Gpu,
        count: usize,
        rest: usize,
        first: usize,
        scratch: &Tensor,
        out: &Tensor,
    ) -> Result<Self, GpuError> {
        let constants = [("COUNT", count.into()), ("REST", rest.into()), ("OUT_FIRST", first.into())];
        let dispatch = REDUCE.dispatch(gpu, "sum", &constants, &[("partial_sums", scratch), ("out", out)])?;
        Ok(Self { elements: count, dispatch })
    }

    /// As [`Reduce::new`], where each row has behind them as many floats as `rest`, which take the sums of those.
    pub(super) fn both(gpu: &Gpu, count: usize, scratch: &Tensor, out: &Tensor, rest: &Tensor) -> Result<Self, GpuError> {
        let constants = [("COUNT", count.into()), ("REST", rest.elements().into())];
        let tensors = [("partial_sums", scratch), ("out", out), ("rest", rest)];
        Ok(Self { elements: count + rest.elements(), dispatch: REDUCE.dispatch(gpu, "sum_both", &constants, &tensors)? })
    }

    /// Records the sum of `rows` rows: zeros if there are none.
    pub(super) fn run(&self, pass: &mut Pass<'_>, rows: usize) {
        pass.run(&self.dispatch, Grid::threads(self.elements, WIDTH), &[rows as u32], self.elements * rows);
    }
}
