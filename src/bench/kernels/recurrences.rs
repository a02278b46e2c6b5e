//! The recurrences alone, without the products of all steps at once that stand before and behind them.

use super::Table;
use crate::gpu::GpuError;
use crate::layers::{Cell, IndrnnPath, IndrnnRecurrence, Recurrence, RecurrenceTensors, RecurrenceVariant, Size};

/// A level of RNN, GRU and LSTM by each variant.
pub(super) fn gated(table: &mut Table<'_>, frames: usize, batch: usize, hidden: usize) -> Result<(), GpuError> {
    let words = format!("{frames} frames x {batch} x {hidden}");
    for (cell, family) in [(Cell::RnnTanh, "rnn"), (Cell::Gru, "gru"), (Cell::Lstm, "lstm")] {
        if !table.wants(family) {
            continue;
        }
        let columns = cell.gates() * hidden;
        let h = table.map("h", &[frames, batch, hidden])?;
        let a = table.tensor("a", &[frames, batch, columns])?;
        let dhidden = if cell == Cell::Gru { table.tensor("dhidden", &[frames, batch, columns])? } else { a.clone() };
        let weight = table.param("weight", &[hidden, columns], hidden)?;
        let bias = table.param("bias", &[columns], hidden)?;
        let tensors = RecurrenceTensors {
            a: &a,
            h: &h.value.tensor,
            dh: &h.grad.tensor,
            da: &a,
            dhidden: &dhidden,
            weight: &weight.value,
            bias: &bias.value,
        };
        for variants in RecurrenceVariant::pairs(table.gpu, cell, hidden) {
            let recurrence = Recurrence::new(table.gpu, variants, cell, &tensors)?;
            let [forward, backward] = variants.map(|variant| variant.to_string());
            let both = if forward == backward { forward } else { format!("{forward}; {backward}") };
            table.case(family, &both, &words, |pass| {
                recurrence.forward(pass, Size { batch, frames });
                recurrence.backward(pass, Size { batch, frames });
            })?;
        }
    }
    Ok(())
}

/// A level of an IndRNN, step by step and as a scan.
pub(super) fn independent(table: &mut Table<'_>, frames: usize, batch: usize, hidden: usize) -> Result<(), GpuError> {
    if !table.wants("indrnn") {
        return Ok(());
    }
    let (words, size) = (format!("{frames} frames x {batch} x {hidden}"), Size { batch, frames });
    let (a, h) = (table.map("a", &[frames, batch, hidden])?, table.map("h", &[frames, batch, hidden])?);
    let (u, scratch) = (table.param("u", &[hidden], 1)?, table.tensor("scratch", &[batch, hidden])?);
    for (path, variant) in [(IndrnnPath::Sequential, "indrnn"), (IndrnnPath::Scan, "indrnn_scan")] {
        let recurrence = IndrnnRecurrence::with_path(table.gpu, path, size, &a, &h, &u, &scratch)?;
        table.case("indrnn", variant, &words, |pass| {
            recurrence.forward(pass, size);
            recurrence.backward(pass, size);
        })?;
    }
    Ok(())
}
