//! How the learning rate changes: plain functions of the recipe, the step and, for `plateau`, a small state.

use crate::config::{ScheduleName, TrainConfig};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// What the schedule `plateau` remembers from epoch to epoch.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Plateau {
    /// Lowest watched loss that counted; absent before the first epoch.
    pub best: Option<f64>,
    /// Epochs without improvement since it, or since the last reduction.
    pub since: usize,
    /// Reductions so far.
    pub reductions: usize,
}

/// The learning rate of each step of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    name: ScheduleName,
    learning_rate: f64,
    least: f64,
    factor: f64,
    epochs: usize,
    warmup_epochs: usize,
    step_epochs: usize,
    patience: usize,
    delta: f64,
    steps_per_epoch: usize,
}

impl Schedule {
    /// As the recipe says, for epochs of `steps_per_epoch` updates.
    pub fn new(recipe: &TrainConfig, steps_per_epoch: usize) -> Self {
        Self {
            name: recipe.schedule,
            learning_rate: f64::from(recipe.learning_rate),
            least: f64::from(recipe.min_learning_rate),
            factor: f64::from(recipe.lr_factor),
            epochs: recipe.epochs,
            warmup_epochs: recipe.warmup_epochs,
            step_epochs: recipe.step_epochs,
            patience: recipe.plateau_patience,
            delta: f64::from(recipe.plateau_delta),
            steps_per_epoch,
        }
    }

    /// The learning rate of update `step` (from 0) of `epoch` (from 1).
    ///
    /// In the warm-up, step k of its n steps has `(k + 1) / n` of the recipe's rate; every schedule begins after it.
    pub fn rate(&self, epoch: usize, step: usize, plateau: Plateau) -> f32 {
        let warmup = self.warmup_epochs.saturating_mul(self.steps_per_epoch);
        let step_of_run = (epoch - 1) * self.steps_per_epoch + step;
        let rate = if step_of_run < warmup {
            self.learning_rate * (step_of_run + 1) as f64 / warmup as f64
        } else {
            self.after_warmup(step_of_run - warmup, plateau)
        };
        rate as f32
    }

    fn after_warmup(&self, step: usize, plateau: Plateau) -> f64 {
        let reduced = |times: usize| (self.learning_rate * self.factor.powf(times as f64)).max(self.least);
        match self.name {
            ScheduleName::Constant => self.learning_rate,
            ScheduleName::Step => reduced(step / self.steps_per_epoch / self.step_epochs),
            ScheduleName::Plateau => reduced(plateau.reductions),
            ScheduleName::Cosine => {
                let last = (self.epochs.saturating_sub(self.warmup_epochs) * self.steps_per_epoch).saturating_sub(1);
                let share = step.min(last) as f64 / last.max(1) as f64;
                self.least + (self.learning_rate - self.least) * 0.5 * (1.0 + (PI * share).cos())
            }
        }
    }

    /// The state after `epoch` (from 1) came to the watched `loss`, as Keras' `ReduceLROnPlateau` has it: an epoch
    /// counts as an improvement if it is more than `plateau_delta` below the best, and the last of `plateau_patience`
    /// epochs that are none brings a reduction. Epochs of the warm-up are not watched, nor is anything by other schedules.
    pub fn after(&self, plateau: Plateau, epoch: usize, loss: f64) -> Plateau {
        if self.name != ScheduleName::Plateau || epoch <= self.warmup_epochs {
            return plateau;
        }
        if plateau.best.map_or(loss.is_finite(), |best| loss < best - self.delta) {
            return Plateau { best: Some(loss), since: 0, ..plateau };
        }
        let since = plateau.since + 1;
        if since < self.patience {
            return Plateau { since, ..plateau };
        }
        Plateau { since: 0, reductions: plateau.reductions + 1, ..plateau }
    }
}
