//! What every finished run said of its test clips after the last mark, read back from the study's directory.

use super::evidence;
use super::predictions::{Predictions, Row};
use super::statistics::{Clips, Model, Run, TestParts};
use super::{Contestant, Study, StudyDirectory, StudyError};
use crate::config::NameSource;
use crate::dataset::{KeptClip, KeptSplits, Protocol, Split};
use crate::train::metrics::{ConfusionMatrix, majority_baseline};
use std::collections::{BTreeMap, BTreeSet, HashMap};

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
        let (mut parted, mut largest_class) = (BTreeSet::new(), 0.0);
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
            let mark = result.at(study.epochs(&cell)).filter(|mark| mark.test_accuracy.is_some());
            let Some(mark) = mark else { continue };
            let (split, table) = evidence::outcome(&directory.cell(&cell), mark)?;
            if parted.insert(cell.fold) {
                largest_class += outcomes.count(&split, &table);
            }
            let groups: HashMap<&str, &str> =
                split.part(Split::Test).map(|clip| (clip.name.as_str(), clip.group.as_str())).collect();
            let run = said[cell.model].entry((if random { cell.fold } else { 0 }, cell.seed)).or_default();
            for Row { path, label, prediction, probabilities } in table.rows {
                let group = groups.get(path.as_str()).copied().unwrap_or(&path).to_owned();
                clips.insert(path.clone(), TestClip { path: path.clone(), class: label as u32, group });
                run.insert(path, Said { class: prediction as u32, probabilities });
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
        outcomes.clips = clips.into_values().collect();
        outcomes.test_to_train /= parted.len().max(1) as f64;
        outcomes.majority_baseline = (outcomes.tests > 0).then(|| largest_class / outcomes.tests as f64);
        Ok(outcomes)
    }

    /// Adds what a split alone says: its sizes, and what its test part shares with its training part. Returns how many test
    /// clips are of the training part's largest class.
    fn count(&mut self, split: &KeptSplits, table: &Predictions) -> f64 {
        let trained: Vec<&KeptClip> = split.part(Split::Train).collect();
        let tested: Vec<&KeptClip> = split.part(Split::Test).collect();
        let both = |what: fn(&KeptClip) -> &str| {
            let known: BTreeSet<&str> = trained.iter().map(|clip| what(clip)).collect();
            tested.iter().filter(|clip| known.contains(what(clip))).count()
        };
        self.shared += both(|clip| &clip.group);
        self.copies += both(KeptClip::content_hash);
        self.tests += tested.len();
        self.test_to_train += tested.len() as f64 / trained.len().max(1) as f64;
        let class = |clip: &&KeptClip| table.classes.iter().position(|class| *class == clip.label).map(|class| class as u32);
        let labels = |clips: &[&KeptClip]| clips.iter().filter_map(class).collect::<Vec<u32>>();
        let share = majority_baseline(table.classes.len(), &labels(&trained), &labels(&tested));
        share.map_or(0.0, |majority| majority.accuracy) * tested.len() as f64
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
                Protocol::Bbnn => TestParts::RandomSplits { test_to_train: self.test_to_train },
                _ if study.protocol.splits(study.folds) > 1 => TestParts::Folds,
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
