//! The clips that were named wrongly, the surest first.

use crate::report::html::Mistake;
use crate::train::predictions::Prediction;

/// A row of `mistakes.csv`.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct MistakeRow {
    /// The clip.
    pub path: String,
    /// Its class.
    pub label: String,
    /// What it was taken for.
    pub prediction: String,
    /// How sure the network was of that, 0..1.
    pub probability: f32,
    /// The clip's group.
    pub group: String,
}

/// The mistakes among `predictions`, those that the network was surest of first, then by path.
pub fn mistakes(classes: &[String], predictions: &[Prediction]) -> Vec<MistakeRow> {
    let wrong = predictions.iter().filter(|prediction| prediction.class() != prediction.label);
    let mut rows: Vec<MistakeRow> = wrong
        .map(|prediction| MistakeRow {
            path: prediction.path.clone(),
            label: classes[prediction.label as usize].clone(),
            prediction: classes[prediction.class() as usize].clone(),
            probability: prediction.probabilities[prediction.class() as usize],
            group: prediction.group.clone(),
        })
        .collect();
    rows.sort_by(|a, b| b.probability.total_cmp(&a.probability).then_with(|| a.path.cmp(&b.path)));
    rows
}

/// `mistakes.csv`: the header stands there even without a mistake.
pub fn csv(mistakes: &[MistakeRow]) -> Vec<u8> {
    let mut table = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    let write = |table: &mut csv::Writer<Vec<u8>>| {
        table.write_record(["path", "label", "prediction", "probability", "group"])?;
        mistakes.iter().try_for_each(|mistake| table.serialize(mistake))
    };
    write(&mut table).expect("memory takes every row");
    table.into_inner().expect("memory takes every row")
}

impl MistakeRow {
    /// As the page lists it.
    pub fn on_page(self) -> Mistake {
        let Self { path, label, prediction, probability, .. } = self;
        Mistake { path, label, prediction, probability: f64::from(probability) }
    }
}
