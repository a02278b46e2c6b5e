//! Learning-rate schedules against closed forms and against PyTorch 2.15, from this script:
//!
//! ```python
//! import torch
//! from torch.optim import lr_scheduler
//! def rates(new, steps, losses=None):
//!     rule = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1); schedule = new(rule); rates = []
//!     for step in range(steps):
//!         rates.append(rule.param_groups[0]["lr"]); rule.step()
//!         schedule.step(*losses[step:step + 1] if losses else ())
//!     print([round(rate, 9) for rate in rates])
//! rates(lambda rule: lr_scheduler.StepLR(rule, step_size=3, gamma=0.3), 10)
//! # 4 epochs of 3 steps: the last of 12 steps has the least
//! rates(lambda rule: lr_scheduler.CosineAnnealingLR(rule, T_max=11, eta_min=0.01), 12)
//! losses = [1, .8, .79, .78, .77, .6, .6, .6, .6, .6, .6, .58, .6, .6, .6, .6]
//! # PyTorch waits for one epoch more than its patience; Keras, and with it this crate, does not.
//! rates(lambda rule: lr_scheduler.ReduceLROnPlateau(rule, factor=0.3, patience=1, threshold=0.05, threshold_mode="abs",
//!                                                   min_lr=0.002, eps=0), 16, losses)
//! ```

use melgrad::config::{ScheduleName, TrainConfig};
use melgrad::optim::{Plateau, Schedule};

fn recipe(schedule: ScheduleName) -> TrainConfig {
    TrainConfig { schedule, learning_rate: 0.1, lr_factor: 0.3, epochs: 10, ..TrainConfig::default() }
}

/// The rates of the first `epochs`, of `steps` updates each.
fn rates(recipe: &TrainConfig, epochs: usize, steps: usize) -> Vec<f32> {
    let schedule = Schedule::new(recipe, steps);
    let of_epoch = |epoch| (0..steps).map(move |step| schedule.rate(epoch, step, Plateau::default()));
    (1..=epochs).flat_map(of_epoch).collect()
}

fn check(actual: &[f32], expected: &[f64]) {
    let close = |(a, e): (&f32, &f64)| (f64::from(*a) - e).abs() < 1e-8;
    let same = actual.len() == expected.len() && actual.iter().zip(expected).all(close);
    assert!(same, "{actual:?} instead of {expected:?}");
}

#[test]
fn a_constant_rate_is_the_recipe_s_to_the_bit() {
    assert_eq!(rates(&recipe(ScheduleName::Constant), 3, 5), [0.1f32; 15]);
}

#[test]
fn steps_are_pytorch_s_and_stop_at_the_least_rate() {
    let recipe = TrainConfig { step_epochs: 3, ..recipe(ScheduleName::Step) };
    let expected = [0.1, 0.1, 0.1, 0.03, 0.03, 0.03, 0.009, 0.009, 0.009, 0.0027];
    check(&rates(&recipe, 10, 1), &expected);
    let twice: Vec<f64> = expected.iter().flat_map(|rate| [*rate; 2]).collect();
    check(&rates(&recipe, 10, 2), &twice);
    let least = TrainConfig { min_learning_rate: 0.02, ..recipe };
    check(&rates(&least, 10, 1), &expected.map(|rate| f64::max(rate, 0.02)));
}

#[test]
fn the_cosine_is_pytorch_s_and_ends_at_the_least_rate() {
    let recipe = TrainConfig { epochs: 4, min_learning_rate: 0.01, ..recipe(ScheduleName::Cosine) };
    let expected = [
        0.1,
        0.098177184,
        0.092856409,
        0.084468733,
        0.073693676,
        0.061404168,
        0.048595832,
        0.036306324,
        0.025531267,
        0.017143591,
        0.011822816,
        0.01,
    ];
    check(&rates(&recipe, 4, 3), &expected);
    check(&rates(&TrainConfig { epochs: 1, ..recipe }, 1, 1), &[0.1]);
}

#[test]
fn each_schedule_begins_after_a_linear_warm_up() {
    let warm = |schedule| TrainConfig { warmup_epochs: 2, step_epochs: 1, epochs: 5, ..recipe(schedule) };
    let growth: Vec<f64> = (1..=6).map(|step| 0.1 * f64::from(step) / 6.0).collect();
    for (name, after) in [
        (ScheduleName::Constant, [0.1; 9]),
        (ScheduleName::Step, [0.1, 0.1, 0.1, 0.03, 0.03, 0.03, 0.009, 0.009, 0.009]),
        (ScheduleName::Cosine, std::array::from_fn(|step| 0.05 * (1.0 + (std::f64::consts::PI * step as f64 / 8.0).cos()))),
        (ScheduleName::Plateau, [0.1; 9]),
    ] {
        check(&rates(&warm(name), 5, 3), &[growth.clone(), after.to_vec()].concat());
    }
}

const LOSSES: [f64; 16] = [1.0, 0.8, 0.79, 0.78, 0.77, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.58, 0.6, 0.6, 0.6, 0.6];

/// The rates of epochs that come to `losses`; after each, the state goes through a file and back.
fn watched(recipe: &TrainConfig, losses: &[f64]) -> Vec<f32> {
    let (schedule, mut plateau) = (Schedule::new(recipe, 1), Plateau::default());
    let rate = |(i, &loss): (usize, &f64)| {
        let rate = schedule.rate(i + 1, 0, plateau);
        let text = serde_json::to_string(&schedule.after(plateau, i + 1, loss)).unwrap();
        plateau = serde_json::from_str(&text).unwrap();
        rate
    };
    losses.iter().enumerate().map(rate).collect()
}

#[test]
fn a_plateau_brings_the_rate_down_as_pytorch_does() {
    let recipe =
        TrainConfig { plateau_patience: 2, plateau_delta: 0.05, min_learning_rate: 0.002, ..recipe(ScheduleName::Plateau) };
    let expected = [0.1, 0.1, 0.1, 0.1, 0.03, 0.03, 0.03, 0.03, 0.009, 0.009, 0.0027, 0.0027, 0.002, 0.002, 0.002, 0.002];
    check(&watched(&recipe, &LOSSES), &expected);

    // The loss of a diverging epoch is no improvement, and no best that later ones are held to.
    let broken = [f64::NAN, 1.0, f64::NAN, f64::INFINITY, 0.5];
    check(&watched(&recipe, &broken), &[0.1, 0.1, 0.1, 0.1, 0.03]);

    // Epochs of the warm-up are not watched.
    let warm = TrainConfig { warmup_epochs: 3, ..recipe };
    check(&watched(&warm, &[0.1, 0.1, 0.1, 1.0, 1.0, 1.0, 1.0]), &[0.1 / 3.0, 0.2 / 3.0, 0.1, 0.1, 0.1, 0.1, 0.03]);
}

#[test]
fn only_the_schedule_plateau_watches() {
    let schedule = Schedule::new(&recipe(ScheduleName::Step), 4);
    assert_eq!(schedule.after(Plateau::default(), 1, 1.0), Plateau::default());
}
