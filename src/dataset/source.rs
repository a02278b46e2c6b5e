//! What a folder, a manifest and the built-in set have in common: entries below a root.

use super::Split;
use crate::audio;
use std::path::{Component, Path, PathBuf};

/// One file that the data names.
pub(super) struct Entry {
    /// Relative to the root (absolute where the manifest says so).
    pub path: PathBuf,
    /// Its class, by name.
    pub label: String,
    /// Its part, where one is given: all entries have one, or none.
    pub split: Option<Split>,
    /// What it must stay together with, where that is given.
    pub group: Option<String>,
}

/// Everything that the data names, before a single file is opened.
pub(super) struct Listing {
    /// What was given, for messages.
    pub source: PathBuf,
    /// Where the entries lie.
    pub root: Root,
    /// In any order.
    pub entries: Vec<Entry>,
    /// Oddities, in words.
    pub warnings: Vec<String>,
    /// What may have been meant if there are too few classes; empty, or begins with a separator.
    pub hint: String,
}

/// Where bytes come from.
pub(super) enum Root {
    /// A folder on disk.
    Folder(PathBuf),
    /// Files compiled into the binary.
    Embedded(&'static include_dir::Dir<'static>),
}

impl Root {
    /// The bytes of one file, or why there are none.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        match self {
            Self::Folder(root) => {
                let full = root.join(path);
                match std::fs::metadata(&full) {
                    Ok(metadata) if metadata.is_dir() => return Err("is a folder, not a file".into()),
                    // A named pipe would be waited for without end.
                    Ok(metadata) if !metadata.is_file() => return Err("is not a regular file".into()),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing(path)),
                    _ => {}
                }
                std::fs::read(&full).map_err(|error| format!("cannot be read: {error}"))
            }
            Self::Embedded(dir) => dir.get_file(path).map(|file| file.contents().to_vec()).ok_or_else(|| missing(path)),
        }
    }

    /// What one file says of itself, or why that cannot be read.
    pub fn tags(&self, path: &Path) -> Result<audio::Tags, String> {
        match self {
            _ if extension(path) == "npy" => Ok(audio::Tags::default()),
            Self::Folder(root) => match audio::tags(&root.join(path)) {
                Err(audio::AudioError::Read(error)) if error.kind() == std::io::ErrorKind::NotFound => Err(missing(path)),
                read => read.map_err(|error| error.to_string()),
            },
            Self::Embedded(_) => audio::tags_of_bytes(self.read(path)?, &extension(path)).map_err(|error| error.to_string()),
        }
    }

    /// Bytes of one file, 0 if that cannot be told.
    pub fn size(&self, path: &Path) -> u64 {
        match self {
            Self::Folder(root) => std::fs::metadata(root.join(path)).map_or(0, |metadata| metadata.len()),
            Self::Embedded(dir) => dir.get_file(path).map_or(0, |file| file.contents().len() as u64),
        }
    }
}

fn missing(path: &Path) -> String {
    let backslashes = !cfg!(windows) && path.to_string_lossy().contains('\\');
    if backslashes { "no such file; write folders with / instead of \\".into() } else { "no such file".into() }
}

/// Names that file systems and archivers leave behind: `._x`, `.DS_Store`.
pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().first() == Some(&b'.'))
}

/// The lower-case extension, empty without one.
pub(super) fn extension(path: &Path) -> String {
    path.extension().map_or_else(String::new, |extension| extension.to_string_lossy().to_lowercase())
}

/// Whether a folder's file is meant as data: audio (also of kinds to be refused by name) or ready features.
pub(super) fn is_data(path: &Path) -> bool {
    audio::is_audio(path) || extension(path) == "npy"
}

/// A path as it is written in files and sorted by, the same on every system: parts joined by `/`, no `.` among them.
pub(crate) fn portable(path: &Path) -> String {
    let mut text = String::new();
    for component in path.components() {
        match component {
            Component::CurDir => continue,
            Component::RootDir => text.push('/'),
            _ => {
                if !(text.is_empty() || text.ends_with('/')) {
                    text.push('/');
                }
                text.push_str(&component.as_os_str().to_string_lossy());
            }
        }
    }
    text
}
