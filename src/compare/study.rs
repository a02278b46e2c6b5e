//! What a study is: its settings, and the trainings that follow from them.

use super::{Cell, Contestant, Entry};
use crate::dataset::{Draw, Protocol};
use serde::{Deserialize, Serialize};

/// The settings of a study, as `study.json` keeps them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// [`Study::SCHEMA`].
    pub schema: u32,
    /// Networks with their recipes and the baseline, in the order of the tables.
    pub models: Vec<Entry>,
    /// Seed of the split.
    pub split_seed: u64,
    /// Seeds of initialisation, order and augmentation; the split is the same for all.
    pub seeds: Vec<u64>,
    /// How the data is parted.
    pub protocol: Protocol,
    /// Folds that were asked for; the protocol says how many splits there are.
    pub folds: usize,
    /// Epochs after which the test part is looked at, ascending; the last is the length of the runs.
    pub marks: Vec<usize>,
    /// Every mark is a run of its own of that many epochs with a seed of its own, not a look at one long run.
    pub independent: bool,
}

impl Study {
    /// The version of `study.json`.
    pub const SCHEMA: u32 = 2;

    /// After every `every` epochs and after the last; only after the last if `every` is 0.
    pub fn marks(epochs: usize, every: usize) -> Vec<usize> {
        let mut marks: Vec<usize> = if every == 0 { Vec::new() } else { (every..=epochs).step_by(every).collect() };
        if marks.last() != Some(&epochs) {
            marks.push(epochs);
        }
        marks
    }

    /// How the data is parted for a cell: the same for all networks and seeds.
    pub fn draw(&self, cell: &Cell) -> Draw {
        Draw { seed: self.split_seed, folds: self.folds, fold: cell.fold }
    }

    /// Every training, the networks taking turns, so that a machine that grows slower does not favour one. The baseline has
    /// neither seeds nor epochs, and so one cell per split.
    pub fn cells(&self) -> Vec<Cell> {
        let lengths: Vec<Option<usize>> =
            if self.independent { self.marks.iter().copied().map(Some).collect() } else { vec![None] };
        let mut cells = Vec::new();
        for (i, &seed) in self.seeds.iter().enumerate() {
            for fold in 0..self.protocol.splits(self.folds) {
                for (j, &length) in lengths.iter().enumerate() {
                    for (model, entry) in self.models.iter().enumerate() {
                        let name = entry.name();
                        if name != Contestant::Baseline {
                            cells.push(Cell { model, name, seed, fold, length });
                        } else if (i, j) == (0, 0) {
                            cells.push(Cell { model, name, seed, fold, length: None });
                        }
                    }
                }
            }
        }
        cells
    }

    /// Epochs of one cell; the baseline has none.
    pub fn epochs(&self, cell: &Cell) -> usize {
        match cell.name {
            Contestant::Baseline => 0,
            Contestant::Network(_) => cell.length.unwrap_or_else(|| self.marks.last().copied().unwrap_or(0)),
        }
    }

    /// Whether a cell says what its entry comes to in the end, after the last mark.
    pub fn is_final(&self, cell: &Cell) -> bool {
        cell.name == Contestant::Baseline || Some(&self.epochs(cell)) == self.marks.last()
    }

    /// What tables call an entry: its name, with its place where there are two of a kind.
    pub fn label(&self, model: usize) -> String {
        let name = self.models[model].name();
        let same = self.models.iter().filter(|other| other.name() == name).count();
        if same > 1 { format!("{name}-{}", model + 1) } else { name.to_string() }
    }

    /// Epochs of all cells.
    pub fn total_epochs(&self) -> usize {
        self.cells().iter().map(|cell| self.epochs(cell)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Reading;
    use crate::config::{Config, ModelName};

    #[test]
    fn marks_end_with_the_last_epoch_and_cells_take_turns() {
        assert_eq!(Study::marks(50, 5).len(), 10);
        assert_eq!(Study::marks(12, 5), [5, 10, 12]);
        assert_eq!(Study::marks(7, 0), [7]);
        assert_eq!(Study::marks(3, 5), [3]);
        let mut study = Study {
            schema: Study::SCHEMA,
            models: [ModelName::Indrnn, ModelName::Lstm].map(|name| Config::new(name).into()).to_vec(),
            split_seed: 0,
            seeds: vec![0, 1],
            protocol: Protocol::Grouped,
            folds: 3,
            marks: vec![5, 10],
            independent: true,
        };
        let cells = study.cells();
        assert_eq!((cells.len(), study.total_epochs()), (24, 12 * 15));
        let [indrnn, lstm] = [ModelName::Indrnn, ModelName::Lstm].map(Contestant::Network);
        assert_eq!([cells[0].name, cells[1].name, cells[2].name], [indrnn, lstm, indrnn]);
        let names: std::collections::BTreeSet<String> = cells.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 24, "every cell has a name of its own");
        study.models.push(Entry::Baseline(Reading::of(&Config::new(ModelName::Indrnn))));
        let baseline: Vec<Cell> = study.cells().into_iter().filter(|cell| cell.name == Contestant::Baseline).collect();
        assert_eq!((baseline.len(), study.cells().len()), (3, 27), "once for each fold");
        assert!(baseline.iter().all(|cell| study.epochs(cell) == 0 && study.is_final(cell)));
    }
}
