//! Numbers as people read them, and the summary of a run in words.

use crate::gpu::Precision;
use crate::train::event::{EpochMetrics, Started, Step, Summary};
use std::time::Duration;

/// With fewer test groups than this an accuracy says little of other music, whatever its interval.
pub const FEWEST_GROUPS: usize = 30;

/// `66.2%` for 0.662.
pub fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

/// `185,642`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 clip`, `2 clips`: a count with its noun.
pub fn count(number: usize, noun: &str) -> String {
    let plural = match (number, noun.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{} {noun}{plural}", thousands(number))
}

/// What to say of so few test groups that they tell little of other music; none from 30 on. `noun` is in the singular.
pub fn too_few_groups(groups: usize, noun: &str) -> Option<String> {
    (groups < FEWEST_GROUPS).then(|| format!("{} in the test part: too few to tell", count(groups, noun)))
}

/// `a, b and c`.
pub fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [name] => name.clone(),
        [names @ .., last] => format!("{} and {last}", names.join(", ")),
    }
}

/// `6.2 points` for 0.062.
pub fn points(share: f64) -> String {
    format!("{:.1} points", 100.0 * share)
}

/// A time that was measured: `0.84 s`, `11.8 s`, `612 s`.
pub fn seconds(seconds: f64) -> String {
    let decimals = match seconds {
        s if s < 9.995 => 2,
        s if s < 99.95 => 1,
        _ => 0,
    };
    format!("{seconds:.decimals$} s")
}

/// A time that is guessed, coarsely, at least `1 s`: `40 s`, `12 min`, `3 h 20 min`, `2 d 5 h`.
pub fn rough(time: Duration) -> String {
    let minutes = (time.as_secs_f64() / 60.0).round() as u64;
    match (time.as_secs_f64().round() as u64, minutes / 60) {
        (seconds @ 0..60, _) => format!("{} s", seconds.max(1)),
        (_, 0) => format!("{minutes} min"),
        (_, hours @ 1..24) => format!("{hours} h {} min", minutes % 60),
        (_, hours) => format!("{} d {} h", hours / 24, hours % 24),
    }
}

/// What is about to happen, in four lines.
pub fn opening(started: &Started) -> String {
    let Started { run, model, trainable_parameters, epochs, batch_size, frames, clips, classes, precision, adapter, .. } =
        started;
    let numbers = if *precision == Precision::Mixed { ", mixed precision" } else { "" };
    let [train, valid, test] = clips.map(thousands);
    [
        format!(
            "{model}: {} trained parameters, up to {} in batches of {batch_size} x {frames} frames{numbers}",
            thousands(*trainable_parameters),
            count(*epochs, "epoch")
        ),
        format!("data: {train} clips to train on, {valid} to validate, {test} to test; {}", count(classes.len(), "class")),
        format!("adapter: {adapter}"),
        format!("run: {}", run.display()),
    ]
    .join("\n")
}

/// `loss 1.2345  accuracy  45.1%`: an epoch so far, of one width.
pub fn step(step: &Step) -> String {
    losses("", step.loss, step.accuracy)
}

/// An epoch that is over, of one width through a run.
pub fn epoch(metrics: &EpochMetrics) -> String {
    let mut text = losses("", metrics.train_loss, metrics.train_accuracy);
    if let (Some(loss), Some(accuracy)) = (metrics.val_loss, metrics.val_accuracy) {
        text = format!("{text}  {}", losses("val ", loss, accuracy));
    }
    text
}

fn losses(part: &str, loss: f64, accuracy: f64) -> String {
    format!("{part}loss {loss:.4}  {part}accuracy {:>6}", percent(accuracy))
}

/// How a run ended: what was trained, what it is worth and how far that can be trusted, where it lies.
pub fn summary(summary: &Summary) -> String {
    let Summary { model, epochs, best_epoch, test_accuracy, .. } = summary;
    let [epochs, each] = [count(*epochs, "epoch"), seconds(summary.epoch_seconds_median)];
    let mut lines = vec![format!("Trained {model} for {epochs}, {each} each; kept the weights of epoch {best_epoch}.")];
    lines.extend(summary.val_accuracy.map(|accuracy| format!("Validation accuracy {}.", percent(accuracy))));
    lines.push(match (test_accuracy.map(percent), summary.test_accuracy_ci95.map(|ends| ends.map(percent))) {
        (Some(accuracy), Some([low, high])) => format!("Test accuracy {accuracy}, 95% interval {low} to {high}."),
        (Some(accuracy), None) => format!("Test accuracy {accuracy}, with no interval."),
        (None, _) => "There is no test part: how it does on music that played no part in training is not known.".into(),
    });
    lines.extend(
        summary.majority_baseline.map(|accuracy| format!("Always naming the largest class gives {}.", percent(accuracy))),
    );
    lines.extend(
        summary.test_groups.filter(|&groups| groups < FEWEST_GROUPS).map(|groups| {
            format!("Warning: {} in the test part: too few groups to tell how good that is.", count(groups, "group"))
        }),
    );
    lines.push(format!("The run is in {}.", summary.run.display()));
    lines.join("\n")
}
