//! A study in one file, so that a stranger can check it on another adapter: a tar archive of its settings and, for each
//! finished run, its configuration, split (by content, no audio), best weights and predictions; with a list of SHA-256
//! sums of all of them at the end.
//!
//! ```text
//! study.json  accuracy.csv  summary.csv  timing.csv  lengths.csv  classes.csv  statistics.json
//! cells/CELL/{config.toml, environment.json, kernels.json, splits.csv, model.safetensors, result.json, predictions-N.csv}
//! sha256.json
//! ```

use super::{Study, StudyDirectory};
use crate::train::checkpoint::MODEL_FILE;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The sums of all other files, the last of the archive.
const SUMS: &str = "sha256.json";
/// What a capsule takes of the study as a whole; without a test part it has not all of them.
const OF_THE_STUDY: [&str; 7] =
    ["study.json", "accuracy.csv", "summary.csv", "timing.csv", "lengths.csv", "classes.csv", "statistics.json"];
/// What a capsule takes of a cell beside its weights and predictions.
const OF_A_CELL: [&str; 5] = ["config.toml", "environment.json", "kernels.json", "splits.csv", "result.json"];

/// Why a capsule cannot be written or trusted.
#[derive(Debug, thiserror::Error)]
pub enum CapsuleError {
    /// A file that cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A run of the study that is not finished.
    #[error("{cell} is not finished: finish the study first (the same command without --capsule)")]
    Unfinished {
        /// The run.
        cell: String,
    },
    /// A place where no capsule can be written.
    #[error("{path}: {problem}; give --capsule another file")]
    NoPlace {
        /// Where it should go.
        path: PathBuf,
        /// What is in the way.
        problem: String,
    },
    /// A capsule that is whole and says two things.
    #[error("{path}: contradicts itself: {file}: {problem}")]
    Contradiction {
        /// The capsule.
        path: PathBuf,
        /// The file in it.
        file: String,
        /// The figure, as it is there and as it follows from the rest.
        problem: String,
    },
    /// An archive that is not a whole capsule as it was written.
    #[error("{path}: {problem}: it was damaged or changed after it was written, and proves nothing; get it again")]
    Tampered {
        /// The capsule.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
}

/// Whether a capsule can be written to `path`: better known before hours of training. Its folder must be there and take
/// files, and what is there already must be a capsule; nothing else is overwritten.
pub fn check_place(path: &Path) -> Result<(), CapsuleError> {
    let refused = |problem: String| CapsuleError::NoPlace { path: path.into(), problem };
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(refused(format!("there is no folder {}", folder.display())));
    }
    tempfile::tempfile_in(folder).map_err(|error| refused(format!("nothing can be written there: {error}")))?;
    if path.exists() && !ends_with_sums(path) {
        return Err(refused("exists and is no capsule, and is not overwritten".into()));
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

/// Whether it is an archive that ends as capsules do.
fn ends_with_sums(path: &Path) -> bool {
    let Ok(file) = std::fs::File::open(path) else { return false };
    let mut archive = tar::Archive::new(std::io::BufReader::new(file));
    let Ok(entries) = archive.entries() else { return false };
    let mut last = Vec::new();
    for entry in entries {
        let Ok(entry) = entry else { return false };
        last = entry.path_bytes().into_owned();
    }
    last == SUMS.as_bytes()
}

/// Writes the finished study in `directory` to `path`, whole or not at all.
pub fn write_capsule(path: &Path, study: &Study, directory: &StudyDirectory) -> Result<(), CapsuleError> {
    check_place(path)?;
    let mut files: Vec<(String, PathBuf)> = OF_THE_STUDY.map(|name| (name.to_owned(), directory.file(name))).to_vec();
    for cell in study.cells() {
        let folder = directory.cell(&cell);
        let name = |file: &str| format!("cells/{cell}/{file}");
        if !matches!(directory.result(&cell), Ok(Some(_))) {
            return Err(CapsuleError::Unfinished { cell: cell.to_string() });
        }
        files.extend(OF_A_CELL.iter().map(|file| (name(file), folder.join(file))));
        files.push((name(MODEL_FILE), folder.join("best").join(MODEL_FILE)));
        let last = format!("predictions-{}.csv", study.epochs(&cell));
        files.push((name(&last), folder.join(last)));
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CapsuleError::File { path, source }
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".part-");
    // It is made to be handed on, which the mode of a temporary file would hinder.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let part = builder.tempfile_in(folder_of(path)).map_err(failed(path))?;
    let mut archive = tar::Builder::new(part);
    let mut sums = BTreeMap::new();
    // A run that diverged has neither weights nor predictions.
    for (name, source) in files.into_iter().filter(|(_, source)| source.is_file()) {
        let contents = std::fs::read(&source).map_err(failed(&source))?;
        append(&mut archive, &name, &contents).map_err(failed(path))?;
        sums.insert(name, sum(&contents));
    }
    let sums = serde_json::to_vec_pretty(&sums).expect("names and sums");
    append(&mut archive, SUMS, &sums).map_err(failed(path))?;
    let part = archive.into_inner().map_err(failed(path))?;
    part.as_file().sync_all().map_err(failed(path))?;
    part.persist(path).map(drop).map_err(|error| failed(path)(error.error))
}

fn append<W: std::io::Write>(archive: &mut tar::Builder<W>, name: &str, contents: &[u8]) -> std::io::Result<()> {
    // No times, owners or modes of this machine: the same study gives the same bytes but for its timing.
    let mut header = tar::Header::new_gnu();
    header.set_size(contents.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, contents)
}

fn sum(contents: &[u8]) -> String {
    Sha256::digest(contents).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A capsule in memory, every file of it as it was written.
#[derive(Debug, Clone)]
pub struct Capsule {
    path: PathBuf,
    /// Its study.
    pub study: Study,
    files: BTreeMap<String, Vec<u8>>,
}

impl Capsule {
    /// Reads a capsule and checks every sum.
    pub fn read(path: &Path) -> Result<Self, CapsuleError> {
        let file = std::fs::File::open(path).map_err(|source| CapsuleError::File { path: path.into(), source })?;
        let tampered = |problem: String| CapsuleError::Tampered { path: path.into(), problem };
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(std::io::BufReader::new(file)).entries().map_err(|e| tampered(e.to_string()))? {
            let mut entry = entry.map_err(|error| tampered(error.to_string()))?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).map_err(|error| tampered(error.to_string()))?;
            files.insert(name, contents);
        }
        let sums = files.remove(SUMS).ok_or_else(|| tampered(format!("it has no {SUMS}")))?;
        let sums: BTreeMap<String, String> = serde_json::from_slice(&sums).map_err(|e| tampered(format!("{SUMS}: {e}")))?;
        for (name, expected) in &sums {
            let contents = files.get(name).ok_or_else(|| tampered(format!("{name} is missing")))?;
            if sum(contents) != *expected {
                return Err(tampered(format!("the SHA-256 of {name} is not the one in {SUMS}")));
            }
        }
        if let Some(name) = files.keys().find(|name| !sums.contains_key(*name)) {
            return Err(tampered(format!("{name} is not in {SUMS}")));
        }
        let study = files.get("study.json").ok_or_else(|| tampered("it has no study.json".into()))?;
        let study: Study = serde_json::from_slice(study).map_err(|error| tampered(format!("study.json: {error}")))?;
        if study.schema != Study::SCHEMA {
            return Err(tampered(format!("study.json has schema {}, and this melgrad knows {}", study.schema, Study::SCHEMA)));
        }
        Ok(Self { path: path.into(), study, files })
    }

    /// The file `name` of a cell, absent where the cell diverged.
    pub fn file(&self, cell: &super::Cell, name: &str) -> Option<&[u8]> {
        self.files.get(&format!("cells/{cell}/{name}")).map(Vec::as_slice)
    }

    /// A file by its name in the archive.
    pub(super) fn entry(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// Every run that has weights: its network, as tables call it, and its name.
    pub fn networks_and_cells(&self) -> Vec<(String, String)> {
        let names = |cell: super::Cell| (self.study.label(cell.model), cell.to_string());
        super::retrain::trainable(self).into_iter().map(names).collect()
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
