//! A CSV manifest: `path,label[,split][,group]`, further columns ignored, paths relative to the manifest.

use super::source::{Entry, Listing, Root, is_hidden, portable};
use super::{DatasetError, Split};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Lists the manifest in a file.
pub(super) fn read(path: &Path) -> Result<Listing, DatasetError> {
    let bytes = std::fs::read(path).map_err(|source| DatasetError::Read { path: path.into(), source })?;
    let root = path.parent().unwrap_or(Path::new("")).to_path_buf();
    parse(path, &bytes, Root::Folder(root))
}

/// Lists a manifest that is at hand; `path` names it in messages.
pub(super) fn parse(path: &Path, bytes: &[u8], root: Root) -> Result<Listing, DatasetError> {
    let at = |line: u64, problem: String| DatasetError::Line { path: path.into(), line, problem };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        at(line as u64, "is not UTF-8; save the manifest as UTF-8".into())
    })?;
    // The reader passes over a byte order mark by itself.
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| at(1, error.to_string()))?.clone();
    let columns = Columns::find(&header).map_err(|problem| at(1, problem))?;

    let (mut entries, mut hidden, mut splits) = (Vec::new(), 0, 0);
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut first_without_split = None;
    for record in reader.records() {
        let record = record.map_err(|error| at(error.position().map_or(0, csv::Position::line), error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != header.len() {
            let problem =
                format!("has {} fields, the header has {}; quote a field that contains a comma", record.len(), header.len());
            return Err(at(line, problem));
        }
        let row = columns.row(&record).map_err(|problem| at(line, problem))?;
        if is_hidden(&row.path) {
            hidden += 1;
            continue;
        }
        if let Some(earlier) = seen.insert(portable(&row.path), line) {
            return Err(at(line, format!("path `{}` is already on line {earlier}; keep one of the two", row.path.display())));
        }
        match row.split {
            Some(_) => splits += 1,
            None => first_without_split = first_without_split.or(Some(line)),
        }
        entries.push(row);
    }
    if let (Some(line), true) = (first_without_split, splits > 0) {
        return Err(at(
            line,
            "split is empty, but other rows have one; use train, valid or test in every row, or in none".into(),
        ));
    }
    let warnings = match hidden {
        0 => Vec::new(),
        n => vec![format!("{}: {n} rows name files that begin with a dot; they are ignored", path.display())],
    };
    Ok(Listing { source: path.into(), root, entries, warnings, hint: String::new() })
}

/// Where the fields are.
struct Columns {
    path: usize,
    label: usize,
    split: Option<usize>,
    group: Option<usize>,
}

impl Columns {
    fn find(header: &csv::StringRecord) -> Result<Self, String> {
        let find = |name: &str| -> Result<Option<usize>, String> {
            let mut positions = (0..header.len()).filter(|&i| &header[i] == name);
            match (positions.next(), positions.next()) {
                (_, Some(_)) => Err(format!("column `{name}` appears twice; keep one")),
                (first, None) => Ok(first),
            }
        };
        let need = |name: &str| {
            find(name)?.ok_or_else(|| {
                let found = header.iter().collect::<Vec<_>>().join(",");
                let separator = if found.contains([';', '\t']) { "; separate columns with commas" } else { "" };
                format!("the header `{found}` has no column `{name}`; use path,label[,split][,group]{separator}")
            })
        };
        Ok(Self { path: need("path")?, label: need("label")?, split: find("split")?, group: find("group")? })
    }

    fn row(&self, record: &csv::StringRecord) -> Result<Entry, String> {
        let filled = |name: &str, value: &str| match value {
            "" => Err(format!("{name} is empty")),
            value => Ok(value.to_owned()),
        };
        let optional = |column: Option<usize>| column.map(|i| &record[i]).filter(|value| !value.is_empty());
        let split = match optional(self.split) {
            None => None,
            Some(word) => {
                Some(Split::from_name(word).ok_or_else(|| format!("split `{word}` is unknown; use train, valid or test"))?)
            }
        };
        Ok(Entry {
            path: PathBuf::from(filled("path", &record[self.path])?),
            label: filled("label", &record[self.label])?,
            split,
            group: optional(self.group).map(str::to_owned),
        })
    }
}
