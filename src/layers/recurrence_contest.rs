//! Which of the kernels of a recurrence hardware gets for a shape.

use super::contest::{Written, entrants, timed, wave};
use super::{Cell, Direction, Recurrence, RecurrenceTensors, RecurrenceVariant, Size};
use crate::gpu::{Contest, Element, Gpu, GpuError};
use std::time::Duration;

/// Shorter sequences take the plain kernels, unmeasured.
const FEWEST_FRAMES: usize = 32;
/// Every step costs the same: enough of them that what a dispatch does once does not count.
const MEASURED_FRAMES: usize = 160;
/// Numbers in a tensor that is measured with: large batches are measured over fewer steps.
const MOST_NUMBERS: usize = 1 << 22;
/// What a measurement should take, so that the cost of a submission does not count.
const LONG_ENOUGH: Duration = Duration::from_millis(3);
const MOST_REPEATS: u32 = 32;

/// The one of `variants` for batches of `capacity` in one direction. Kernels for subgroups are made for software adapters.
pub(super) fn decide(
    gpu: &Gpu,
    cell: Cell,
    capacity: Size,
    hidden: usize,
    direction: Direction,
    variants: &[RecurrenceVariant],
) -> RecurrenceVariant {
    if capacity.frames < FEWEST_FRAMES {
        return RecurrenceVariant::Plain;
    }
    let variants: Vec<_> = variants.iter().copied().filter(|variant| !variant.is_subgroup()).collect();
    let names: Vec<String> = variants.iter().map(ToString::to_string).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let batch = capacity.batch;
    let frames = MEASURED_FRAMES.min(MOST_NUMBERS / (batch * cell.gates() * hidden)).max(FEWEST_FRAMES);
    let mixed = if variants.iter().any(|variant| variant.is_matrix()) { ", mixed" } else { "" };
    let key = format!("{cell:?} {direction:?}, {batch} x {hidden}{mixed}").to_lowercase();
    variants[gpu.choose(&key, &names, || Trial::new(gpu, cell, Size { batch, frames }, hidden, direction, &variants))]
}

/// All over one set of tensors; in the other direction the plain kernel.
struct Trial<'g> {
    gpu: &'g Gpu,
    size: Size,
    direction: Direction,
    layers: Vec<Option<Recurrence>>,
    /// Of each, whether it rounds what the first does not.
    rounds: Vec<bool>,
    /// What is compared: h, da, dhidden.
    written: Written,
    /// Of each candidate.
    repeats: Vec<u32>,
}

impl<'g> Trial<'g> {
    fn new(
        gpu: &'g Gpu,
        cell: Cell,
        size: Size,
        hidden: usize,
        direction: Direction,
        variants: &[RecurrenceVariant],
    ) -> Result<Self, GpuError> {
        let columns = cell.gates() * hidden;
        let tensor = |label: &str, shape: &[usize]| gpu.tensor(label, Element::F32, shape);
        let sequence = |label: &str, columns| tensor(label, &[size.frames, size.batch, columns]);
        let (a, da) = (sequence("measured input", columns)?, sequence("measured d input", columns)?);
        let (h, dh) = (sequence("measured states", hidden)?, sequence("measured d states", hidden)?);
        let dhidden = if cell == Cell::Gru { sequence("measured d gates", columns)? } else { da.clone() };
        let (weight, bias) = (tensor("measured weight", &[hidden, columns])?, tensor("measured bias", &[columns])?);
        // Of either sign, and weights as a network begins: differences of rounding fade.
        let bound = (hidden as f32).sqrt().recip();
        wave(gpu, &a, 0.7, 1.0);
        wave(gpu, &dh, 0.3, 1.0);
        wave(gpu, &weight, 1.9, bound);
        wave(gpu, &bias, 1.1, bound);
        let tensors = RecurrenceTensors { a: &a, h: &h, dh: &dh, da: &da, dhidden: &dhidden, weight: &weight, bias: &bias };
        let layer = |&variant: &RecurrenceVariant| {
            let pair = Direction::BOTH.map(|other| if other == direction { variant } else { RecurrenceVariant::Plain });
            Recurrence::new(gpu, pair, cell, &tensors)
        };
        let layers = entrants(variants.iter().map(layer))?;
        let rounds = variants.iter().map(|variant| variant.is_matrix()).collect();
        // States alone are compared where backward would judge them by their sign.
        let of_forward = cell.gates() == 1 && direction == Direction::Forward;
        let written = Written::plain(if of_forward { vec![h] } else { vec![h, da, dhidden] });
        let mut trial = Self { gpu, size, direction, layers, rounds, written, repeats: Vec::new() };
        for candidate in 0..variants.len() {
            // Backward runs on what forward left.
            trial.run(candidate, 1, &Direction::BOTH)?;
            let once = trial.run(candidate, 1, &[direction])?.as_secs_f64();
            let repeats = LONG_ENOUGH.as_secs_f64() / once.max(1e-9);
            trial.repeats.push(repeats.clamp(1.0, f64::from(MOST_REPEATS)) as u32);
        }
        Ok(trial)
    }

    fn run(&self, candidate: usize, repeats: u32, directions: &[Direction]) -> Result<Duration, GpuError> {
        let Some(layer) = &self.layers[candidate] else { return Ok(Duration::MAX) };
        timed(self.gpu, repeats, |pass| {
            for direction in directions {
                match direction {
                    Direction::Forward => layer.forward(pass, self.size),
                    Direction::Backward => layer.backward(pass, self.size),
                }
            }
        })
    }

    fn results(&self, candidate: usize) -> Result<Vec<Vec<f32>>, GpuError> {
        self.written.results(self.gpu, || self.run(candidate, 1, &Direction::BOTH))
    }
}

impl Contest for Trial<'_> {
    fn time(&mut self, candidate: usize) -> Result<Duration, GpuError> {
        self.run(candidate, self.repeats[candidate], &[self.direction])
    }

    fn agrees(&mut self, candidate: usize) -> Result<bool, GpuError> {
        let (right, results) = (self.results(0)?, self.results(candidate)?);
        Ok(if self.rounds[candidate] {
            self.written.agree_but_for_rounding(&right, &results)
        } else {
            self.written.agree(&right, &results)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::GpuOptions;

    #[test]
    #[allow(clippy::unwrap_used)]
    fn all_variants_agree_and_take_time() {
        let gpu = Gpu::open(&GpuOptions { emulate_matrix_units: true, ..GpuOptions::default() }).unwrap();
        // Matrix units take sixteens, in mixed precision.
        let halves = gpu.with_precision(crate::gpu::Precision::Mixed);
        for cell in [Cell::RnnTanh, Cell::RnnRelu, Cell::Lstm, Cell::Gru] {
            for (direction, gpu, hidden) in Direction::BOTH.iter().flat_map(|way| [(*way, &gpu, 20), (*way, &halves, 32)]) {
                let mut variants = RecurrenceVariant::available(gpu, cell, hidden, direction);
                assert!(variants.iter().any(|variant| variant.is_register()), "{cell:?} {direction:?}");
                assert_eq!(variants.iter().any(|variant| variant.is_matrix()), hidden == 32, "{cell:?} {direction:?}");
                variants.retain(|variant| hidden == 20 || *variant == RecurrenceVariant::Plain || variant.is_matrix());
                let mut trial = Trial::new(gpu, cell, Size { batch: 3, frames: 7 }, hidden, direction, &variants).unwrap();
                for (candidate, variant) in variants.iter().enumerate() {
                    assert!(trial.agrees(candidate).unwrap(), "{cell:?} {direction:?}: {variant}");
                    assert!(trial.time(candidate).unwrap() > Duration::ZERO);
                }
            }
        }
    }
}
