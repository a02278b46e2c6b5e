//! A folder per class, GTZAN's layout: `genres/blues/blues.00000.au`.

use super::DatasetError;
use super::source::{Entry, Listing, Root, is_data, is_hidden};
use std::path::{Path, PathBuf};

/// Lists a folder: each subfolder with audio anywhere below it is a class of that name.
pub(super) fn scan(root: &Path) -> Result<Listing, DatasetError> {
    let top = Folder::read(root)?;
    let (mut entries, mut classes) = (Vec::new(), Vec::new());
    for folder in &top.folders {
        let files = files_below(folder)?;
        if files.is_empty() {
            continue;
        }
        let label = name(folder);
        entries.extend(files.into_iter().map(|file| Entry {
            path: file.strip_prefix(root).map_or(file.clone(), Path::to_path_buf),
            label: label.clone(),
            split: None,
            group: None,
        }));
        classes.push(folder.clone());
    }
    let loose = top.files.len();
    let own_manifest: Vec<_> = classes.iter().filter(|folder| folder.join("manifest.csv").is_file()).collect();
    let hint = if classes.len() < 2 { hint(&classes, loose)? } else { String::new() };
    let mut warnings = Vec::new();
    if loose > 0 {
        warnings.push(format!(
            "{loose} audio files lie directly in {} and belong to no class; put them into a class folder to use them",
            root.display()
        ));
    }
    if let Some(folder) = own_manifest.first() {
        warnings.push(format!(
            "{} holds a manifest.csv, yet is taken for a class here; give that folder to use its manifest",
            folder.display()
        ));
    }
    Ok(Listing { source: root.into(), root: Root::Folder(root.into()), entries, warnings, hint })
}

/// Lists every data file at or below a folder, whatever its subfolders are called; labels are still to be found.
pub(super) fn flat(root: &Path) -> Result<Listing, DatasetError> {
    let entry = |file: PathBuf| Entry {
        path: file.strip_prefix(root).map_or(file.clone(), Path::to_path_buf),
        label: String::new(),
        split: None,
        group: None,
    };
    let entries = files_below(root)?.into_iter().map(entry).collect();
    Ok(Listing { source: root.into(), root: Root::Folder(root.into()), entries, warnings: Vec::new(), hint: String::new() })
}

/// What the person may have meant with a folder of fewer than two classes.
fn hint(classes: &[PathBuf], loose: usize) -> Result<String, DatasetError> {
    if let [only] = classes {
        let inside = Folder::read(only)?;
        let mut nested = 0;
        for folder in &inside.folders {
            nested += usize::from(!files_below(folder)?.is_empty());
        }
        if inside.files.is_empty() && nested >= 2 {
            return Ok(format!("; {} holds {nested} folders with audio: give that one", only.display()));
        }
    }
    Ok(if loose > 0 {
        "; put each class's files into a folder named after the class, or take the labels from the files' tags: --label tag:genre --group tag:artist".into()
    } else {
        String::new()
    })
}

/// Every data file at or below a folder, hidden names left out.
pub(super) fn files_below(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let mut files = Vec::new();
    walk(folder, &mut Vec::new(), &mut files)?;
    Ok(files)
}

/// `above` holds the real paths of the folders on the way down, so that a link back up ends there.
fn walk(folder: &Path, above: &mut Vec<PathBuf>, files: &mut Vec<PathBuf>) -> Result<(), DatasetError> {
    let real = folder.canonicalize().map_err(|source| DatasetError::Read { path: folder.into(), source })?;
    if above.contains(&real) {
        return Ok(());
    }
    above.push(real);
    let here = Folder::read(folder)?;
    files.extend(here.files);
    for inner in &here.folders {
        walk(inner, above, files)?;
    }
    above.pop();
    Ok(())
}

/// What a folder holds directly, sorted by name.
struct Folder {
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Folder {
    fn read(folder: &Path) -> Result<Self, DatasetError> {
        let failed = |source| DatasetError::Read { path: folder.into(), source };
        let (mut folders, mut files) = (Vec::new(), Vec::new());
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            // `is_dir` follows links; a dangling one is a file that will be reported as missing.
            match (is_hidden(&path), path.is_dir()) {
                (true, _) => {}
                (false, true) => folders.push(path),
                (false, false) if is_data(&path) => files.push(path),
                (false, false) => {}
            }
        }
        folders.sort();
        files.sort();
        Ok(Self { folders, files })
    }
}

fn name(folder: &Path) -> String {
    folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
