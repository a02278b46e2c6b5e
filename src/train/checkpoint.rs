//! Checkpoints: a directory with the weights, the optimiser's state and a manifest that vouches for both.
//!
//! A crash at any moment leaves a whole checkpoint. The new one is built in a hidden directory beside the old one, its
//! manifest last; then the two change places by renaming:
//!
//! | moment | `best` | `.best.new` | `.best.old` |
//! |---|---|---|---|
//! | before | old | | |
//! | while writing | old | partial | |
//! | between the two renames | | whole | old |
//! | cleaning up | new | | old, or part of it |
//! | after | new | | |
//!
//! Readers take `best`; where it is missing they take `.best.new` if that has its manifest, else `.best.old`. The next
//! writer finishes or clears away what was interrupted.

pub use super::named_tensor::{NamedTensor, fit};
use super::named_tensor::{decode, encode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The weights, in a checkpoint and in a run directory alike.
pub const MODEL_FILE: &str = "model.safetensors";
/// The optimiser's state.
pub const OPTIMIZER_FILE: &str = "optimizer.safetensors";
/// What a checkpoint consists of.
pub const MANIFEST_FILE: &str = "manifest.json";

const SCHEMA: u32 = 1;

/// Why a checkpoint cannot be written or read, and what helps.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// No weights where they were looked for.
    #[error("{run}: there is no {MODEL_FILE} in it or in its best/; give a directory that `melgrad train` wrote")]
    NotFound {
        /// The run directory.
        run: PathBuf,
    },
    /// A file could not be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or directory could not be written, renamed or removed; the checkpoint before it still stands.
    #[error("{path}: cannot be written: {source}; the checkpoint before this one still stands")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Tensors that no file can hold: a mistake of the caller.
    #[error("{path}: {what}")]
    Unwritable {
        /// The file that was to be written.
        path: PathBuf,
        /// What is wrong with the tensors.
        what: String,
    },
    /// A file whose contents cannot be used.
    #[error("{path}: {what}; {remedy}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What helps.
        remedy: String,
    },
    /// Tensors that are not those of the model.
    #[error("{path}: does not fit the model in config.toml: {}", .problems.join(", "))]
    Misfit {
        /// The file.
        path: PathBuf,
        /// Every difference, in words.
        problems: Vec<String>,
    },
}

/// What `manifest.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Manifest<M> {
    schema: u32,
    files: BTreeMap<String, FileEntry>,
    metadata: M,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct FileEntry {
    bytes: u64,
    sha256: String,
}

impl FileEntry {
    fn of(contents: &[u8]) -> Self {
        let sha256 = Sha256::digest(contents).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { bytes: contents.len() as u64, sha256 }
    }
}

/// A checkpoint as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint<M> {
    /// The weights and running statistics, by name in alphabetical order.
    pub model: Vec<NamedTensor>,
    /// The optimiser's state, by name in alphabetical order.
    pub optimizer: Vec<NamedTensor>,
    /// What the trainer noted: epoch, step, accuracy.
    pub metadata: M,
}

/// Writes a checkpoint to `dir`, in the place of the one that may be there; parents are created.
pub fn write_checkpoint<M: Serialize>(
    dir: &Path,
    model: &[NamedTensor],
    optimizer: &[NamedTensor],
    metadata: &M,
) -> Result<(), CheckpointError> {
    let [new, old] = [beside(dir, "new"), beside(dir, "old")];
    finish_interrupted(dir, &new, &old)?;

    if let Err(error) = build(&new, model, optimizer, metadata) {
        // On a full disk every byte counts; what remains of it is cleared by the next writer.
        let _ = remove(&new);
        return Err(error);
    }
    if dir.exists() {
        std::fs::rename(dir, &old).map_err(write_error(dir))?;
    }
    std::fs::rename(&new, dir).map_err(write_error(dir))?;
    sync_dir(&parent(dir))?;
    remove(&old)
}

/// Reads a whole checkpoint; each file must be what the manifest says.
pub fn read_checkpoint<M: DeserializeOwned>(dir: &Path) -> Result<Checkpoint<M>, CheckpointError> {
    let dir = current(dir);
    let manifest: Manifest<M> = read_manifest(&dir.join(MANIFEST_FILE))?;
    let tensors = |name: &str| {
        let path = dir.join(name);
        let bytes = read(&path)?;
        verify(&path, &bytes, manifest.files.get(name))?;
        decode(&path, &bytes)
    };
    Ok(Checkpoint { model: tensors(MODEL_FILE)?, optimizer: tensors(OPTIMIZER_FILE)?, metadata: manifest.metadata })
}

/// The weights of a run and the file they came from: `RUN/model.safetensors`, else `RUN/best/model.safetensors`.
///
/// Checked against a manifest beside them; there need not be one, so that files written by PyTorch load.
pub fn read_model(run: &Path) -> Result<(PathBuf, Vec<NamedTensor>), CheckpointError> {
    let candidates = [run.to_path_buf(), current(&run.join("best"))];
    let Some(dir) = candidates.iter().find(|dir| dir.join(MODEL_FILE).is_file()) else {
        return Err(CheckpointError::NotFound { run: run.into() });
    };
    let path = dir.join(MODEL_FILE);
    let bytes = read(&path)?;
    let manifest = dir.join(MANIFEST_FILE);
    if manifest.is_file() {
        let manifest: Manifest<serde::de::IgnoredAny> = read_manifest(&manifest)?;
        verify(&path, &bytes, manifest.files.get(MODEL_FILE))?;
    }
    let tensors = decode(&path, &bytes)?;
    Ok((path, tensors))
}

/// Writes all files of a checkpoint to the hidden directory `new`, the manifest last.
fn build<M: Serialize>(
    new: &Path,
    model: &[NamedTensor],
    optimizer: &[NamedTensor],
    metadata: &M,
) -> Result<(), CheckpointError> {
    std::fs::create_dir_all(new).map_err(write_error(new))?;
    let mut files = BTreeMap::new();
    for (name, tensors) in [(MODEL_FILE, model), (OPTIMIZER_FILE, optimizer)] {
        let bytes = encode(&new.join(name), tensors)?;
        write_through(&new.join(name), &bytes)?;
        files.insert(name.to_string(), FileEntry::of(&bytes));
    }
    let manifest = serde_json::to_vec_pretty(&Manifest { schema: SCHEMA, files, metadata })
        .map_err(|error| CheckpointError::Unwritable { path: new.join(MANIFEST_FILE), what: error.to_string() })?;
    write_through(&new.join(MANIFEST_FILE), &manifest)?;
    sync_dir(new)
}

/// `dir`, or what stands for it after a crash between the two renames.
fn current(dir: &Path) -> PathBuf {
    let [new, old] = [beside(dir, "new"), beside(dir, "old")];
    if dir.exists() {
        dir.into()
    } else if new.join(MANIFEST_FILE).is_file() {
        new
    } else if old.exists() {
        old
    } else {
        dir.into()
    }
}

/// Leaves `dir` as readers saw it and nothing beside it.
fn finish_interrupted(dir: &Path, new: &Path, old: &Path) -> Result<(), CheckpointError> {
    let current = current(dir);
    if current != dir {
        std::fs::rename(&current, dir).map_err(write_error(dir))?;
    }
    remove(new)?;
    remove(old)
}

/// `RUN/.best.new` for `RUN/best`: on the same file system, so that a rename is enough.
fn beside(dir: &Path, suffix: &str) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    parent(dir).join(format!(".{name}.{suffix}"))
}

fn parent(dir: &Path) -> PathBuf {
    match dir.parent() {
        Some(parent) if parent != Path::new("") => parent.into(),
        _ => PathBuf::from("."),
    }
}

fn verify(path: &Path, bytes: &[u8], entry: Option<&FileEntry>) -> Result<(), CheckpointError> {
    let unreadable = |what: String| CheckpointError::Unreadable {
        path: path.into(),
        what,
        remedy: "the file was damaged or exchanged after it was written: use another checkpoint, or train again".into(),
    };
    let Some(entry) = entry else {
        return Err(unreadable(format!("{MANIFEST_FILE} beside it does not list it")));
    };
    if entry.bytes != bytes.len() as u64 {
        return Err(unreadable(format!("has {} bytes, its manifest says {}", bytes.len(), entry.bytes)));
    }
    if *entry != FileEntry::of(bytes) {
        return Err(unreadable("its sha256 is not the one in its manifest".into()));
    }
    Ok(())
}

fn read_manifest<M: DeserializeOwned>(path: &Path) -> Result<Manifest<M>, CheckpointError> {
    let unreadable = |what: String, remedy: &str| CheckpointError::Unreadable { path: path.into(), what, remedy: remedy.into() };
    let manifest: Manifest<M> = serde_json::from_slice(&read(path)?).map_err(|error| {
        unreadable(
            format!("is no checkpoint's manifest ({error})"),
            "use another checkpoint, or remove it to load the weights unchecked",
        )
    })?;
    if manifest.schema != SCHEMA {
        return Err(unreadable(format!("has schema {}", manifest.schema), "this version reads schema 1"));
    }
    Ok(manifest)
}

fn read(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    std::fs::read(path).map_err(|source| CheckpointError::Read { path: path.into(), source })
}

/// Writes a file down to the disk, past the system's cache.
fn write_through(path: &Path, contents: &[u8]) -> Result<(), CheckpointError> {
    let mut file = std::fs::File::create(path).map_err(write_error(path))?;
    file.write_all(contents).and_then(|()| file.sync_all()).map_err(write_error(path))
}

/// Makes names in `dir` last through a power cut; Windows has no such call and needs none.
fn sync_dir(dir: &Path) -> Result<(), CheckpointError> {
    if cfg!(windows) {
        return Ok(());
    }
    std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(write_error(dir))
}

fn remove(dir: &Path) -> Result<(), CheckpointError> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(write_error(dir)(error)),
        _ => Ok(()),
    }
}

fn write_error(path: &Path) -> impl FnOnce(std::io::Error) -> CheckpointError {
    move |source| CheckpointError::Write { path: path.into(), source }
}
