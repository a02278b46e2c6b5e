//! Numbers as people read them, and the summary of a run in words.

use crate::train::event::{EpochMetrics, Started, Step, Summary};
use std::fmt::Write;
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
        if place > 0 && (digits.len() - place) % 3 == 0 {
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

/// A time that was measured: `0.84 s`, `11.8 s`, `612 s`.
pub fn seconds(seconds: f64) -> String {
    let decimals = match seconds {
        s if s < 9.995 => 2,
        s if s < 99.95 => 1,
        _ => 0,
    };
    format!("{seconds:.decimals$} s")
}

/// A time that is guessed, in its two largest units: `40 s`, `12 min`, `3 h 20 min`, `2 d 5 h`.
pub fn rough(time: Duration) -> String {
    let minutes = (time.as_secs_f64() / 60.0).round() as u64;
    match (time.as_secs_f64().round() as u64, minutes / 60) {
        (seconds @ 0..60, _) => format!("{seconds} s"),
        (_, 0) => format!("{minutes} min"),
        (_, hours @ 1..24) => format!("{hours} h {} min", minutes % 60),
        (_, hours) => format!("{} d {} h", hours / 24, hours % 24),
    }
}

/// What is about to happen, in three lines.
pub fn opening(started: &Started) -> String {
    let [train, valid, test] = started.clips;
    format!(
        "{} with {} trained parameters on {}\n{} to train on, {} to validate, {} to test, {}; up to {} in batches of {} x {} frames\nwriting {}",
        started.model,
        thousands(started.trainable_parameters),
        started.adapter,
        count(train, "clip"),
        thousands(valid),
        thousands(test),
        count(started.classes.len(), "class"),
        count(started.epochs, "epoch"),
        started.batch_size,
        started.frames,
        started.run.display(),
    )
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

/// `  about 12 min left`, or nothing.
pub fn left(time: Option<Duration>) -> String {
    time.map(|time| format!("  about {} left", rough(time.max(Duration::from_secs(1))))).unwrap_or_default()
}

/// How a run ended: what was trained, what it is worth and how far that can be trusted, where it lies.
pub fn summary(summary: &Summary) -> String {
    let mut text = format!(
        "Trained {} for {}, {} each; the weights kept are those after epoch {}.\n",
        summary.model,
        count(summary.epochs, "epoch"),
        seconds(summary.epoch_seconds_median),
        summary.best_epoch
    );
    if let Some(accuracy) = summary.val_accuracy {
        let _ = writeln!(text, "Validation accuracy {}.", percent(accuracy));
    }
    let _ = match summary.test_accuracy {
        Some(accuracy) => writeln!(text, "Test accuracy {}{}.", percent(accuracy), against(summary)),
        None => writeln!(text, "There is no test part, so how it does on music that it has not seen is not known."),
    };
    if let Some(groups) = summary.test_groups.filter(|&groups| groups < FEWEST_GROUPS) {
        let _ = writeln!(text, "Warning: {} in the test part: too few groups to tell how good that is.", count(groups, "group"));
    }
    let _ = write!(text, "The run is in {}.", summary.run.display());
    text
}

/// What the test accuracy must be read beside.
fn against(summary: &Summary) -> String {
    let interval = match summary.test_accuracy_ci95 {
        Some([low, high]) => format!(", 95% interval {} to {}", percent(low), percent(high)),
        None => ", with no interval".into(),
    };
    let baseline = match summary.majority_baseline {
        Some(accuracy) => format!("; always naming the largest class gives {}", percent(accuracy)),
        None => String::new(),
    };
    interval + &baseline
}
