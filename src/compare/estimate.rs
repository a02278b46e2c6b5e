//! How long a study will take.

use super::{Cell, Study, Timing};
use std::time::Duration;

/// What `cells` of a study take, by times of its networks on the adapter at hand. The epochs of training are measured;
/// validation and looks are taken to cost what the test part costs, by clip.
pub fn estimate<'a>(study: &Study, timing: &Timing, valid_clips: usize, cells: impl IntoIterator<Item = &'a Cell>) -> Duration {
    let seconds = |cell: &Cell| {
        let label = study.label(cell.model);
        let Some(row) = timing.rows().into_iter().find(|row| row.model == label) else { return 0.0 };
        let test = row.evaluation_seconds.unwrap_or(0.0);
        let valid = test * valid_clips as f64 / timing.test_clips.max(1) as f64;
        let epochs = study.epochs(cell);
        let looks = if study.independent { 1 } else { study.marks.len() };
        epochs as f64 * (row.epoch_seconds + valid) + looks as f64 * (test + valid)
    };
    Duration::from_secs_f64(cells.into_iter().map(seconds).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Entry, ModelTiming, Reading};
    use crate::config::{Config, ModelName};
    use crate::dataset::Protocol;

    #[test]
    fn epochs_validation_and_looks_are_counted() {
        let config = Config::new(ModelName::Indrnn);
        let study = Study {
            schema: Study::SCHEMA,
            models: vec![Entry::Baseline(Reading::of(&config)), config.into()],
            split_seed: 0,
            seeds: vec![0, 1],
            protocol: Protocol::Grouped,
            folds: 3,
            marks: vec![5, 10],
            independent: false,
        };
        let mut own = ModelTiming::new("indrnn".into(), ModelName::Indrnn);
        (own.epoch_seconds, own.evaluation_seconds) = (vec![2.0], Some(1.0));
        let timing = Timing { adapter: String::new(), train_clips: 100, test_clips: 20, models: vec![own] };
        let one = 10.0 * (2.0 + 0.5) + 2.0 * 1.5;
        assert_eq!(estimate(&study, &timing, 10, &study.cells()).as_secs_f64(), 6.0 * one);
        let independent = Study { independent: true, ..study };
        let each = 15.0 * 2.5 + 2.0 * 1.5;
        assert_eq!(estimate(&independent, &timing, 10, &independent.cells()).as_secs_f64(), 6.0 * each);
    }
}
