//! What a study is: its settings, and the trainings that follow from them.

use super::Cell;
use crate::config::Config;
use crate::dataset::{Draw, Protocol};
use serde::{Deserialize, Serialize};

/// The settings of a study, as `study.json` keeps them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// 1.
    pub schema: u32,
    /// The networks with their recipes, in the order of the tables; `train.seed` is that of the split.
    pub models: Vec<Config>,
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
    pub const SCHEMA: u32 = 1;

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
        let seed = self.models.first().map_or(0, |config| config.train.seed);
        Draw { seed, folds: self.folds, fold: cell.fold }
    }

    /// Every training, the networks taking turns, so that a machine that grows slower does not favour one.
    pub fn cells(&self) -> Vec<Cell> {
        let lengths: Vec<Option<usize>> =
            if self.independent { self.marks.iter().copied().map(Some).collect() } else { vec![None] };
        let mut cells = Vec::new();
        for &seed in &self.seeds {
            for fold in 0..self.protocol.splits(self.folds) {
                for &length in &lengths {
                    for (model, config) in self.models.iter().enumerate() {
                        cells.push(Cell { model, name: config.model.name, seed, fold, length });
                    }
                }
            }
        }
        cells
    }

    /// Epochs of one cell.
    pub fn epochs(&self, cell: &Cell) -> usize {
        cell.length.unwrap_or_else(|| self.marks.last().copied().unwrap_or(0))
    }

    /// Epochs of all cells.
    pub fn total_epochs(&self) -> usize {
        self.cells().iter().map(|cell| self.epochs(cell)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelName;

    #[test]
    fn marks_end_with_the_last_epoch_and_cells_take_turns() {
        assert_eq!(Study::marks(50, 5).len(), 10);
        assert_eq!(Study::marks(12, 5), [5, 10, 12]);
        assert_eq!(Study::marks(7, 0), [7]);
        assert_eq!(Study::marks(3, 5), [3]);
        let study = Study {
            schema: Study::SCHEMA,
            models: [ModelName::Indrnn, ModelName::Lstm].map(Config::new).to_vec(),
            seeds: vec![0, 1],
            protocol: Protocol::Grouped,
            folds: 3,
            marks: vec![5, 10],
            independent: true,
        };
        let cells = study.cells();
        assert_eq!((cells.len(), study.total_epochs()), (24, 12 * 15));
        assert_eq!([cells[0].name, cells[1].name, cells[2].name], [ModelName::Indrnn, ModelName::Lstm, ModelName::Indrnn]);
        let names: std::collections::BTreeSet<String> = cells.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 24, "every cell has a name of its own");
    }
}
