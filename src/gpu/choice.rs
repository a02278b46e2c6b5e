//! Which of several kernels that do the same an adapter gets: measured once, then remembered.
//!
//! What is remembered lies in the user's cache directory, a JSON file for each adapter, driver and version of the kernels.
//! It is disposable: whatever is missing, damaged or unwritable is measured again.

use super::{AdapterSummary, Gpu, GpuError, GpuOptions, source};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many times as fast as the first candidate another must be: less is noise, or not worth other bits.
const WORTHWHILE: f64 = 1.2;
/// Times that each candidate is measured, one after the other; its best counts.
const ROUNDS: usize = 5;

/// Whether kernels that do the same are measured against each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum KernelPolicy {
    /// Yes; what was found is kept in `MELGRAD_CACHE_DIR`, or else in the user's cache directory.
    #[default]
    Measured,
    /// Yes; what was found is kept in this folder.
    MeasuredIn(PathBuf),
    /// No: always the first candidate.
    Plain,
    /// No: the first candidate whose name begins with the first of these words that any begins with, on software adapters, too;
    /// where there is none, the first. `tiled`, `together`: for tests of what hardware gets.
    Preferring(Vec<String>),
}

/// Families that [`KernelPolicy::Preferring`] is for.
const FAMILIES: [&str; 5] = ["tiled", "together", "matrix", "registers", "wavefront"];

impl std::str::FromStr for KernelPolicy {
    type Err = String;

    /// `auto`, `plain`, or names of families between commas.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" | "auto" => Ok(Self::Measured),
            "plain" => Ok(Self::Plain),
            names => match names.split(',').find(|name| !FAMILIES.contains(name)) {
                Some(name) => Err(format!("no kernels are called {name}: use auto, plain, or some of {}", FAMILIES.join(","))),
                None => Ok(Self::Preferring(names.split(',').map(str::to_owned).collect())),
            },
        }
    }
}

/// Candidates set up to be measured, known by their places.
pub trait Contest {
    /// How long `candidate` takes, everything that it was given before being done.
    fn time(&mut self, candidate: usize) -> Result<Duration, GpuError>;
    /// Whether the results of `candidate` are those of the first one on the same data.
    fn agrees(&mut self, candidate: usize) -> Result<bool, GpuError>;
}

/// The choices made on a device.
pub(super) struct Choices {
    made: Mutex<BTreeMap<String, String>>,
    /// Held while measuring, so that nothing else that chooses runs beside it.
    measuring: Mutex<()>,
    /// Absent where nothing is measured.
    memory: Option<Memory>,
    /// Words that names of kernels begin with.
    preferred: Vec<String>,
}

impl Choices {
    pub(super) fn new(summary: &AdapterSummary, options: &GpuOptions) -> Self {
        // Times of kernels with runtime checks say nothing about those without.
        let measures = !options.runtime_checks && matches!(options.kernels, KernelPolicy::Measured | KernelPolicy::MeasuredIn(_));
        let memory = measures.then(|| Memory::new(summary, folder(&options.kernels)));
        let preferred = match &options.kernels {
            KernelPolicy::Preferring(words) => words.clone(),
            _ => Vec::new(),
        };
        Self { made: Mutex::default(), measuring: Mutex::default(), memory, preferred }
    }
}

thread_local! {
    /// Whether this thread is measuring: what it builds for that may have kernels of its own to choose.
    static MEASURING: Cell<bool> = const { Cell::new(false) };
}

/// Measuring, until it is dropped.
struct Measuring<'c>(Option<MutexGuard<'c, ()>>);

impl<'c> Measuring<'c> {
    fn begin(choices: &'c Choices) -> Self {
        let first = !MEASURING.replace(true);
        Self(first.then(|| choices.measuring.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Drop for Measuring<'_> {
    fn drop(&mut self) {
        if self.0.is_some() {
            MEASURING.set(false);
        }
    }
}

impl Gpu {
    /// The place among `candidates` of the kernels that do `key` on this adapter, `key` naming all shapes.
    ///
    /// The first is the default. Another wins if it is at least 1.2 times as fast and gives the same results; `contest` is
    /// asked for only where there is more than one, measuring is not ruled out, and nothing is remembered; it may choose among
    /// kernels of its own. Where it fails, the first is taken.
    pub fn choose<C: Contest>(&self, key: &str, candidates: &[&str], contest: impl FnOnce() -> Result<C, GpuError>) -> usize {
        let choices = self.choice_state();
        let place = |name: &str| candidates.iter().position(|candidate| *candidate == name);
        let made = || choices.made.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = || made().get(key).and_then(|name| place(name));
        if let Some(earlier) = earlier() {
            return earlier;
        }
        let _measuring = Measuring::begin(choices);
        // Another thread may just have done so.
        if let Some(earlier) = earlier() {
            return earlier;
        }
        let chosen =
            match &choices.memory {
                Some(memory) if candidates.len() > 1 => memory.get(key).and_then(|name| place(&name)).unwrap_or_else(|| {
                    match contest().and_then(|contest| decide(key, candidates, contest)) {
                        Ok(verdict) => place(&memory.keep(key, candidates, verdict)).unwrap_or(0),
                        Err(error) => {
                            tracing::warn!(key, %error, "kernels could not be measured");
                            0
                        }
                    }
                }),
                _ => {
                    let first = |word: &String| candidates.iter().position(|candidate| candidate.starts_with(word));
                    choices.preferred.iter().find_map(first).unwrap_or(0)
                }
            };
        made().insert(key.into(), candidates[chosen].into());
        chosen
    }

    fn prefers(&self, name: &str) -> bool {
        self.choice_state().preferred.iter().any(|word| name.starts_with(word))
    }

    /// Whether kernels of some family are [preferred](KernelPolicy::Preferring), however little there is to gain.
    pub fn has_preferences(&self) -> bool {
        !self.choice_state().preferred.is_empty()
    }

    /// Whether what hardware gets is up for choice: software adapters get what is known to suit them, unless told otherwise.
    pub fn chooses_kernels(&self) -> bool {
        !self.summary().is_software() || self.has_preferences()
    }

    /// Whether kernels whose names begin with `family` are up for choice where there are some: all are where kernels are measured,
    /// else those that are preferred.
    pub fn may_choose(&self, family: &str) -> bool {
        self.chooses_kernels() && !self.runtime_checks() && (self.choice_state().memory.is_some() || self.prefers(family))
    }

    /// Every choice made on this device: what for, and which candidate.
    pub fn choices(&self) -> BTreeMap<String, String> {
        self.choice_state().made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a measurement found.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Verdict {
    chosen: String,
    /// Of each candidate, at best.
    seconds: BTreeMap<String, f64>,
}

fn decide(key: &str, candidates: &[&str], mut contest: impl Contest) -> Result<Verdict, GpuError> {
    // The first round is for caches and clocks.
    let mut best = vec![f64::INFINITY; candidates.len()];
    for round in 0..=ROUNDS {
        for (candidate, best) in best.iter_mut().enumerate() {
            let seconds = contest.time(candidate)?.as_secs_f64();
            *best = if round > 0 { best.min(seconds) } else { *best };
        }
    }
    let mut winners: Vec<usize> = (1..candidates.len()).filter(|&i| WORTHWHILE * best[i] <= best[0]).collect();
    winners.sort_by(|&a, &b| best[a].total_cmp(&best[b]));
    let mut chosen = 0;
    for winner in winners {
        if contest.agrees(winner)? {
            chosen = winner;
            break;
        }
        tracing::warn!(key, candidate = candidates[winner], "fast and wrong: not used");
    }
    let seconds = candidates.iter().map(ToString::to_string).zip(best).collect();
    Ok(Verdict { chosen: candidates[chosen].into(), seconds })
}

/// What is kept between runs.
struct Memory {
    /// Adapter, driver, version and kernels that the verdicts hold for.
    holds_for: String,
    file: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
struct Contents {
    holds_for: String,
    verdicts: BTreeMap<String, Verdict>,
}

impl Memory {
    fn new(summary: &AdapterSummary, folder: Option<PathBuf>) -> Self {
        let AdapterSummary { name, backend, driver, .. } = summary;
        let (version, kernels) = (env!("CARGO_PKG_VERSION"), &source::shaders_hash().to_hex()[..16]);
        let holds_for = format!("{name} ({backend}, {driver}), melgrad {version}, kernels {kernels}");
        let file = format!("{}.json", &blake3::hash(holds_for.as_bytes()).to_hex()[..16]);
        Self { file: folder.map(|folder| folder.join("kernels").join(file)), holds_for }
    }

    fn get(&self, key: &str) -> Option<String> {
        self.read().remove(key).map(|verdict| verdict.chosen)
    }

    /// Keeps the verdict and returns what was chosen, which another process may have decided first.
    fn keep(&self, key: &str, candidates: &[&str], verdict: Verdict) -> String {
        let mut verdicts = self.read();
        if let Some(earlier) = verdicts.get(key).filter(|earlier| candidates.contains(&earlier.chosen.as_str())) {
            return earlier.chosen.clone();
        }
        let chosen = verdict.chosen.clone();
        verdicts.insert(key.into(), verdict);
        if let Some(file) = &self.file
            && let Err(error) = write(file, &Contents { holds_for: self.holds_for.clone(), verdicts })
        {
            tracing::debug!(file = %file.display(), %error, "choices cannot be kept: the next run measures again");
        }
        chosen
    }

    fn read(&self) -> BTreeMap<String, Verdict> {
        let bytes = self.file.as_ref().and_then(|file| std::fs::read(file).ok());
        let contents: Option<Contents> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        contents.filter(|contents| contents.holds_for == self.holds_for).map(|contents| contents.verdicts).unwrap_or_default()
    }
}

/// Writes a file whole or not at all: beside its place, then renamed.
fn write(path: &Path, contents: &Contents) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".part-").tempfile_in(folder)?;
    file.write_all(&serde_json::to_vec_pretty(contents)?)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// Where what can be found again is kept; the features are cached there, too.
pub(super) fn folder(policy: &KernelPolicy) -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    match policy {
        KernelPolicy::MeasuredIn(folder) => Some(folder.clone()),
        KernelPolicy::Measured | KernelPolicy::Plain | KernelPolicy::Preferring(_) => {
            match std::env::var_os("MELGRAD_CACHE_DIR").filter(|folder| !folder.is_empty()) {
                Some(folder) => Some(folder.into()),
                None => Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("melgrad")),
            }
        }
    }
}
