//! The protocols by which data is parted for a study: each answers "accuracy on what?" differently.

use super::folds;
use super::gtzan;
use super::split::{Fractions, Item, SPLIT, complete, stratify, stratify_clips, take_validation};
use super::{DatasetError, Split};
use serde::{Deserialize, Serialize};

/// Random splits of [`Protocol::Bbnn`].
const BBNN_SPLITS: usize = 10;

/// How data is parted into training, validation and test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
#[value(rename_all = "kebab-case")]
pub enum Protocol {
    /// Stratified by class, whole groups: a hold-out (the given split, if there is one) or K folds.
    #[default]
    Grouped,
    /// Stratified 90/10 by clip without validation, as published: shares artists between training and test
    Seed,
    /// Ten random stratified 80/10/10 splits by clip, as published: shares artists between training and test
    Bbnn,
    /// The fault-filtered lists of GTZAN, 443/197/290, no known artist on two sides
    GtzanFiltered,
    /// Segments of one recording on both sides: measures memory, not genre
    LeakySegments,
}

/// Which of a protocol's splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Draw {
    /// Decides every random choice.
    pub seed: u64,
    /// Folds of [`Protocol::Grouped`]; 0 or 1 is a hold-out. The other protocols have splits of their own.
    pub folds: usize,
    /// The split, below [`Protocol::splits`].
    pub fold: usize,
}

impl Draw {
    /// The one split of a protocol that has one.
    pub fn single(seed: u64) -> Self {
        Self { seed, folds: 1, fold: 0 }
    }
}

impl Protocol {
    /// All of them, in the order of their honesty.
    pub const ALL: [Self; 5] = [Self::Grouped, Self::GtzanFiltered, Self::Bbnn, Self::Seed, Self::LeakySegments];

    /// The word in flags and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grouped => "grouped",
            Self::Seed => "seed",
            Self::Bbnn => "bbnn",
            Self::GtzanFiltered => "gtzan-filtered",
            Self::LeakySegments => "leaky-segments",
        }
    }

    /// One line for tables and reports.
    pub fn words(self) -> &'static str {
        match self {
            Self::Grouped => "stratified by class, whole groups on one side; a split that the data gives is kept, but for folds",
            Self::Seed => {
                "90/10 by clip, no validation, test measured at every mark; as published: shares artists between training and test"
            }
            Self::Bbnn => "ten random 80/10/10 splits by clip; as published: shares artists between training and test",
            Self::GtzanFiltered => "GTZAN's fault-filtered lists, 443/197/290: no known artist on two sides",
            Self::LeakySegments => "segments of one recording are on both sides: this measures memory, not genre",
        }
    }

    /// Splits that one seed gives; `folds` are those asked for.
    pub fn splits(self, folds: usize) -> usize {
        match self {
            Self::Grouped => folds.max(1),
            Self::Bbnn => BBNN_SPLITS,
            Self::Seed | Self::GtzanFiltered | Self::LeakySegments => 1,
        }
    }

    /// Whether each group (artist, else track) is whole in one part: only then does the test part say anything about
    /// artists that were not trained on.
    pub fn keeps_groups(self) -> bool {
        matches!(self, Self::Grouped | Self::GtzanFiltered)
    }

    /// Whether there is a validation part to choose an epoch by.
    pub fn validates(self) -> bool {
        self != Self::Seed
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a protocol makes of the items.
#[derive(Debug, Default)]
pub(super) struct Parting {
    /// The part of each item; none for what is left out of the study.
    pub parts: Vec<Option<Split>>,
    /// The parts that were to be made.
    pub made: Vec<Split>,
    /// Why a class may be missing from a part.
    pub gap: &'static str,
    /// Tracks that a list names and the items lack.
    pub missing: Vec<(&'static str, Split)>,
    /// Oddities, in words.
    pub warnings: Vec<String>,
}

/// Parts the items; the same whatever their order. [`Protocol::LeakySegments`] takes segments for items.
///
/// # Panics
/// If `draw.fold` is not below [`Protocol::splits`].
pub(super) fn part(
    protocol: Protocol,
    items: &[Item],
    classes: &[String],
    fractions: Fractions,
    draw: Draw,
) -> Result<Parting, DatasetError> {
    assert!(draw.fold < protocol.splits(draw.folds), "{protocol} has no split {} of {}", draw.fold, protocol.splits(draw.folds));
    let random = |fractions: Fractions, purpose: &str| {
        let parts = stratify_clips(items, classes, fractions, draw.seed, purpose);
        Parting { made: wanted(fractions), gap: "it has too few clips", ..Parting::of(parts) }
    };
    let mut parting = match protocol {
        Protocol::Grouped if draw.folds > 1 => folded(items, classes, fractions.valid, draw)?,
        Protocol::Grouped => return Ok(hold_out(items, classes, fractions, draw.seed)),
        Protocol::Seed => random(Fractions { valid: 0.0, test: 0.1 }, "seed"),
        Protocol::Bbnn => random(Fractions { valid: 0.1, test: 0.1 }, &format!("bbnn {}", draw.fold)),
        Protocol::LeakySegments => random(fractions, "segments"),
        Protocol::GtzanFiltered => {
            let (parts, missing) = gtzan::parts(items.iter().map(|item| item.name));
            Parting {
                parts,
                missing,
                made: Split::ALL.into(),
                gap: "the lists' tracks of it are not there",
                ..Parting::default()
            }
        }
    };
    if items.iter().any(|item| item.given.is_some()) {
        parting.warnings.push(format!("the split that the data gives is set aside: {protocol} makes its own"));
    }
    Ok(parting)
}

impl Parting {
    fn of(parts: Vec<Split>) -> Self {
        Self { parts: parts.into_iter().map(Some).collect(), ..Self::default() }
    }
}

fn wanted(fractions: Fractions) -> Vec<Split> {
    let parts = [(Split::Train, true), (Split::Valid, fractions.valid > 0.0), (Split::Test, fractions.test > 0.0)];
    parts.into_iter().filter(|(_, wanted)| *wanted).map(|(part, _)| part).collect()
}

/// The given split, completed; where none is given, one that the fractions and the seed decide.
fn hold_out(items: &[Item], classes: &[String], fractions: Fractions, seed: u64) -> Parting {
    let given: Vec<Split> = items.iter().filter_map(|item| item.given).collect();
    if given.is_empty() {
        let parts = stratify(items, classes, fractions, seed, SPLIT);
        return Parting { made: wanted(fractions), gap: "it has too few groups", ..Parting::of(parts) };
    }
    let mut warnings = Vec::new();
    super::split::describe_separated(&given, items, "the given split", &mut warnings);
    let parts = complete(given, items, classes, fractions, seed, &mut warnings);
    Parting { warnings, gap: "the given split leaves it out", ..Parting::of(parts) }
}

/// One of K folds: its groups are the test part, and `share` of what remains, whole groups again, the validation part.
fn folded(items: &[Item], classes: &[String], share: f64, draw: Draw) -> Result<Parting, DatasetError> {
    let groups = items.iter().map(|item| item.group).collect::<std::collections::BTreeSet<_>>().len();
    if groups < draw.folds {
        return Err(DatasetError::TooFewGroups { folds: draw.folds, groups });
    }
    let fold_of = folds::deal(items, classes.len(), draw.folds, draw.seed);
    let mut parts: Vec<Split> = fold_of.iter().map(|&fold| if fold == draw.fold { Split::Test } else { Split::Train }).collect();
    take_validation(&mut parts, items, classes, share, draw.seed, &format!("fold {}", draw.fold));
    let made = wanted(Fractions { valid: share, test: 1.0 });
    Ok(Parting { made, gap: "it has too few groups", ..Parting::of(parts) })
}
