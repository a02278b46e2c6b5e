//! What every finished run said of its test clips after the last mark, read back from the study's directory.

use super::evidence;
use super::results::predictions_file;
use super::statistics::{Clips, Model, Run, TestParts};
use super::{Cell, Contestant, Study, StudyDirectory, StudyError};
use crate::config::NameSource;
use crate::dataset::Protocol;
use crate::train::metrics::{ConfusionMatrix, majority_baseline};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// Everything that was said of the test clips.
#[derive(Debug, Clone, Default)]
pub struct Outcomes {
    /// Class names.
    pub classes: Vec<String>,
    /// Every clip that some run was tested on, by path.
    pub clips: Vec<TestClip>,
    /// The entries with a finished run, in the order of the study.
    pub entries: Vec<EntryOutcome>,
    /// Accuracy of always naming the training part's largest class, over all splits.
    pub majority_baseline: Option<f64>,
    /// Test clips over all splits.
    pub tests: usize,
    /// Of these, the ones of which a clip of the same group was trained on.
    pub shared: usize,
    /// Of these, the ones of which a copy of equal content was trained on.
    pub copies: usize,
    /// Mean over the splits of the test clips over the training clips.
    pub test_to_train: f64,
    /// Entries that are not compared, or not with all their runs: a fold diverged or is missing, and accuracies over other
    /// clips than the others' mean nothing beside them.
    pub incomplete: Vec<String>,
    /// Final runs that are not finished yet, and those that diverged.
    pub missing: usize,
    /// See `missing`.
    pub diverged: usize,
}

/// A clip that was tested on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestClip {
    /// As `splits.csv` names it.
    pub path: String,
    /// Its class.
    pub class: u32,
    /// What it cannot be independent of.
    pub group: String,
}

/// What the runs of one entry said.
#[derive(Debug, Clone)]
pub struct EntryOutcome {
    /// Its place in the study.
    pub model: usize,
    /// Its name in tables.
    pub label: String,
    /// Whether another seed would give another run.
    pub seeded: bool,
    /// Its whole runs; the folds of a cross-validation are one, random splits are each a run of their own.
    pub runs: Vec<RunOutcome>,
}

/// What one run said.
#[derive(Debug, Clone)]
pub struct RunOutcome {
    /// Number of the random split; 0 where there is one, or folds.
    pub split: usize,
    /// The seed that the study gives it.
    pub seed: u64,
    /// Of each of [`Outcomes::clips`]; none where the run was not tested on it.
    pub said: Vec<Option<Said>>,
}

/// What was said of a clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The class that it was given.
    pub class: u32,
    /// The probability of each class.
    pub probabilities: Vec<f32>,
}

/// What a group is where none are known.
pub(super) const CLIP: &str = "clip";

/// Key of a run: its random split and its seed.
type RunKey = (usize, u64);

impl Outcomes {
    /// Reads what is finished.
    pub fn read(study: &Study, directory: &StudyDirectory) -> Result<Self, StudyError> {
        let mut outcomes = Self::default();
        let mut clips: BTreeMap<String, TestClip> = BTreeMap::new();
        let mut said: Vec<BTreeMap<RunKey, HashMap<String, Said>>> = vec![BTreeMap::new(); study.models.len()];
        let mut parted: BTreeMap<usize, Majority> = BTreeMap::new();
        let mut ratios = Vec::new();
        let random = study.protocol == Protocol::Bbnn;
        for cell in study.cells().into_iter().filter(|cell| study.is_final(cell)) {
            let Some(result) = directory.result(&cell)? else {
                outcomes.missing += 1;
                continue;
            };
            if result.diverged_in.is_some() {
                outcomes.diverged += 1;
                continue;
            }
            let path = directory.cell(&cell).join(predictions_file(study.epochs(&cell)));
            let mark = result.at(study.epochs(&cell)).filter(|mark| mark.test_accuracy.is_some());
            let Some(mark) = mark else { continue };
            evidence::check(&directory.cell(&cell), mark)?;
            let split = Split::read(directory, &cell)?;
            let table = Predictions::read(&path)?;
            parted.entry(cell.fold).or_insert_with(|| {
                let names = || table.rows.iter().map(|(name, ..)| name.as_str());
                outcomes.shared += names().filter(|name| split.trained_on_group_of(name)).count();
                outcomes.copies += names().filter(|name| split.trained_on_copy_of(name)).count();
                ratios.push(table.rows.len() as f64 / split.trained.len().max(1) as f64);
                split.majority(&table)
            });
            let run = said[cell.model].entry((if random { cell.fold } else { 0 }, cell.seed)).or_default();
            for (name, class, one) in table.rows {
                let group = split.groups.get(&name).cloned().unwrap_or_else(|| name.clone());
                clips.insert(name.clone(), TestClip { path: name.clone(), class, group });
                run.insert(name, one);
            }
            outcomes.classes = table.classes;
        }
        for (model, runs) in said.into_iter().enumerate().filter(|(_, runs)| !runs.is_empty()) {
            let run = |((split, seed), mut of): (RunKey, HashMap<String, Said>)| {
                let said = clips.keys().map(|path| of.remove(path)).collect();
                RunOutcome { split, seed, said }
            };
            let mut runs: Vec<RunOutcome> = runs.into_iter().map(run).collect();
            let all = runs.len();
            // A random split has test clips of its own.
            runs.retain(|run| random || run.said.iter().all(Option::is_some));
            let label = study.label(model);
            if runs.len() < all {
                outcomes.incomplete.push(label.clone());
            }
            if !runs.is_empty() {
                let seeded = study.models[model].name() != Contestant::Baseline;
                outcomes.entries.push(EntryOutcome { model, label, seeded, runs });
            }
        }
        outcomes.test_to_train = ratios.iter().sum::<f64>() / ratios.len().max(1) as f64;
        outcomes.clips = clips.into_values().collect();
        let (right, all) = parted.values().fold((0.0, 0), |(right, all), of| (right + of.right, all + of.clips));
        outcomes.tests = all;
        outcomes.majority_baseline = (all > 0).then(|| right / all as f64);
        Ok(outcomes)
    }

    /// How many groups the clips are of.
    pub fn groups(&self) -> usize {
        self.clips.iter().map(|clip| clip.group.as_str()).collect::<BTreeSet<_>>().len()
    }

    /// As the statistics want the clips.
    pub fn tested(&self, study: &Study) -> Clips {
        Clips {
            classes: self.classes.len(),
            labels: self.clips.iter().map(|clip| clip.class).collect(),
            groups: self.clips.iter().map(|clip| clip.group.clone()).collect(),
            group_noun: self.group_noun(study),
            test_parts: match study.protocol {
                Protocol::Bbnn => TestParts::RandomSplits { test_to_train: 0.125 },
                _ => TestParts::Same,
            },
        }
    }

    /// What a group is, as far as that is known.
    fn group_noun(&self, study: &Study) -> String {
        let source = study.models.first().map(|entry| entry.reading().data.group);
        match source {
            Some(NameSource::Tag(tag)) => tag.to_string(),
            _ if study.protocol == Protocol::GtzanFiltered => "artist".into(),
            _ if self.clips.iter().all(|clip| clip.path == clip.group) => CLIP.into(),
            _ => "group".into(),
        }
    }
}

impl EntryOutcome {
    /// As the statistics want it.
    pub fn named(&self) -> Model {
        let run = |run: &RunOutcome| {
            let predictions = run.said.iter().map(|said| said.as_ref().map(|said| said.class)).collect();
            Run { split: run.split, seed: run.seed, predictions }
        };
        Model { name: self.label.clone(), runs: self.runs.iter().map(run).collect(), seeded: self.seeded }
    }

    /// How many clips of each class were given each class, all runs together.
    pub fn confusion_matrix(&self, clips: &Clips) -> ConfusionMatrix {
        let (labels, named): (Vec<u32>, Vec<u32>) = self.each(clips).map(|(label, said)| (label, said.class)).unzip();
        ConfusionMatrix::new(clips.classes, &labels, &named)
    }

    /// The label of each clip and what was said of it, run after run.
    pub fn each<'a>(&'a self, clips: &'a Clips) -> impl Iterator<Item = (u32, &'a Said)> {
        let of_run = |run: &'a RunOutcome| clips.labels.iter().copied().zip(&run.said);
        self.runs.iter().flat_map(of_run).filter_map(|(label, said)| Some((label, said.as_ref()?)))
    }
}

/// What naming the largest class of a training part comes to on its test part.
struct Majority {
    right: f64,
    clips: usize,
}

/// What `splits.csv` of a cell says.
struct Split {
    groups: HashMap<String, String>,
    /// Class names of the training clips.
    trained: Vec<String>,
    /// Their groups.
    trained_groups: BTreeSet<String>,
    contents: HashMap<String, String>,
    trained_contents: BTreeSet<String>,
}

impl Split {
    fn read(directory: &StudyDirectory, cell: &Cell) -> Result<Self, StudyError> {
        let (_, rows) = table(&directory.cell(cell).join("splits.csv"))?;
        let field = |row: &csv::StringRecord, i: usize| row.get(i).unwrap_or_default().to_owned();
        let train = crate::dataset::Split::Train.name();
        let trained: Vec<&csv::StringRecord> = rows.iter().filter(|row| row.get(2) == Some(train)).collect();
        Ok(Self {
            groups: rows.iter().map(|row| (field(row, 0), field(row, 3))).collect(),
            trained: trained.iter().map(|row| field(row, 1)).collect(),
            trained_groups: trained.iter().map(|row| field(row, 3)).collect(),
            contents: rows.iter().map(|row| (field(row, 0), field(row, 4))).collect(),
            trained_contents: trained.iter().map(|row| field(row, 4)).collect(),
        })
    }

    fn trained_on_group_of(&self, clip: &str) -> bool {
        self.groups.get(clip).is_some_and(|group| self.trained_groups.contains(group))
    }

    fn trained_on_copy_of(&self, clip: &str) -> bool {
        self.contents.get(clip).is_some_and(|content| self.trained_contents.contains(content))
    }

    fn majority(&self, predictions: &Predictions) -> Majority {
        let class = |name: &String| predictions.classes.iter().position(|class| class == name).map(|class| class as u32);
        let trained: Vec<u32> = self.trained.iter().filter_map(class).collect();
        let tested: Vec<u32> = predictions.rows.iter().map(|(_, class, _)| *class).collect();
        let share = majority_baseline(predictions.classes.len(), &trained, &tested).map_or(0.0, |majority| majority.accuracy);
        Majority { right: share * tested.len() as f64, clips: tested.len() }
    }
}

/// A `predictions-N.csv`: clip, class, what was said.
struct Predictions {
    classes: Vec<String>,
    rows: Vec<(String, u32, Said)>,
}

impl Predictions {
    fn read(path: &Path) -> Result<Self, StudyError> {
        let (header, rows) = table(path)?;
        let classes: Vec<String> = header.iter().skip(3).map(str::to_owned).collect();
        let class = |name: Option<&str>| classes.iter().position(|class| Some(class.as_str()) == name).map(|class| class as u32);
        let row = |row: &csv::StringRecord| {
            let probabilities = row.iter().skip(3).map(|number| number.parse().ok()).collect::<Option<Vec<f32>>>()?;
            Some((row.get(0)?.to_owned(), class(row.get(1))?, Said { class: class(row.get(2))?, probabilities }))
        };
        let problem = "a row names a class that no column has, or is no row of probabilities";
        let unreadable = || StudyError::Unreadable { path: path.into(), problem: problem.into() };
        let rows = rows.iter().map(row).collect::<Option<Vec<_>>>().ok_or_else(unreadable)?;
        Ok(Self { classes, rows })
    }
}

fn table(path: &Path) -> Result<(csv::StringRecord, Vec<csv::StringRecord>), StudyError> {
    let unreadable = |error: csv::Error| StudyError::Unreadable { path: path.into(), problem: error.to_string() };
    let mut reader = csv::Reader::from_path(path).map_err(unreadable)?;
    let header = reader.headers().map_err(unreadable)?.clone();
    let rows = reader.records().collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    Ok((header, rows))
}
