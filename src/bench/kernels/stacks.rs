//! Stacks of recurrent levels, one after the other and as wavefronts: how long their kernels take when several levels share a
//! dispatch.

use super::Table;
use crate::gpu::{Element, GpuError};
use crate::layers::{
    Cell, Channels, Declarations, Direction, DropoutSeed, Layer, Mode, Parameters, RecurrenceVariant, RecurrentShape,
    RecurrentStack, SequenceContext, Size, StackOrder, WavefrontPlan,
};

/// Chunks, and levels at once.
const PLANS: [[usize; 2]; 4] = [[8, 5], [8, 4], [16, 5], [16, 4]];

/// Levels of RNN, GRU and LSTM, forward and backward.
pub(super) fn stacks(table: &mut Table<'_>, levels: usize, frames: usize, batch: usize, hidden: usize) -> Result<(), GpuError> {
    if !table.wants("stack") {
        return Ok(());
    }
    let (gpu, size) = (table.gpu, Size { batch, frames });
    let words = format!("{levels} levels, {frames} frames x {batch} x {hidden}");
    for cell in [Cell::RnnTanh, Cell::Gru, Cell::Lstm] {
        let shape = RecurrentShape { cell, inputs: hidden, hidden };
        let mut declarations = Declarations::default();
        (0..levels).for_each(|level| shape.declare(&mut declarations, level));
        let parameters = Parameters::new(gpu, declarations)?;
        for spec in &parameters.declarations().parameters {
            let noise = table.scaled("weight", &spec.shape, (hidden as f32).sqrt().recip())?;
            gpu.write(&parameters.parameter(&spec.name).value, &gpu.read::<f32>(&noise)?);
        }
        let x = Channels::whole(&table.tensor("x", &[frames, batch, hidden])?);
        let scratch = table.tensor("scratch", &[shape.scratch()])?;
        let seed = gpu.tensor("seed", Element::U32, &[2])?;
        let chosen = RecurrenceVariant::choose(gpu, cell, size, hidden);
        let several = Direction::BOTH.map(|direction| {
            let all = RecurrenceVariant::available(gpu, cell, hidden, direction);
            let first = all.into_iter().find(|variant| variant.takes_levels());
            Some(chosen[direction as usize])
                .filter(|variant| variant.takes_levels())
                .or(first)
                .unwrap_or(RecurrenceVariant::Plain)
        });
        let plans = WavefrontPlan::available(gpu, size, shape, levels, several);
        let tried = plans.into_iter().filter(|plan| PLANS.contains(&[plan.chunks, plan.width]));
        for order in std::iter::once(StackOrder::Levels(chosen)).chain(tried.map(StackOrder::Wavefront)) {
            let dropout = DropoutSeed { p: 0.0, seed: &seed, streams: &std::cell::Cell::new(0) };
            let context = SequenceContext { gpu, parameters: &parameters, scratch: &scratch, frames, batch, dropout };
            let stack = RecurrentStack::with_order(&context, order, shape, levels, &x)?;
            let name = format!("{cell:?}, {order}").to_lowercase();
            table.case("stack", &name, &words, |pass| {
                stack.forward(pass, size, Mode::Train);
                stack.backward(pass, size);
            })?;
        }
    }
    Ok(())
}
