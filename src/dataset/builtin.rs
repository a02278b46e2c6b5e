//! The built-in set: 70 clips of 6 s in 5 classes, cut from free game soundtracks and compiled into the binary.

use super::load::{Progress, assemble};
use super::source::Root;
use super::{Collection, Dataset, DatasetError, Draw, LoadOptions, Protocol, manifest};
use include_dir::{Dir, include_dir};
use std::collections::BTreeMap;
use std::path::Path;

static CLIPS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/dataset/builtin/clips");
const MANIFEST: &str = "manifest.csv";

/// Loads the built-in set, in every other respect like [`load`](super::load): no file of it is on disk.
pub fn load_builtin(options: &LoadOptions, progress: Progress) -> Result<Dataset, DatasetError> {
    collect_builtin(options, progress)?.dataset(Protocol::Grouped, Draw::single(options.seed))
}

/// The same without parting it.
pub fn collect_builtin(options: &LoadOptions, progress: Progress) -> Result<Collection, DatasetError> {
    assemble(manifest::parse(Path::new("built-in manifest.csv"), bytes(MANIFEST), Root::Embedded(&CLIPS))?, options, progress)
}

fn bytes(path: &str) -> &'static [u8] {
    CLIPS.get_file(path).map_or(&[], |file| file.contents())
}

/// What the licences ask to be shown: who made each piece, where it comes from, its licence, and that it was cut.
pub fn attribution() -> String {
    let mut pieces: BTreeMap<[String; 4], Vec<String>> = BTreeMap::new();
    let mut reader = csv::Reader::from_reader(bytes(MANIFEST));
    let header = reader.headers().cloned().unwrap_or_default();
    for record in reader.records().flatten() {
        let field = |name: &str| header.iter().position(|column| column == name).map_or("", |i| &record[i]).to_owned();
        let title = field("group").trim_start_matches(&format!("{}/", field("package"))).trim_end_matches(".ogg").to_owned();
        let titles = pieces.entry([field("package"), field("author"), field("licence"), field("source")]).or_default();
        if !titles.contains(&title) {
            titles.push(title);
        }
    }
    let mut text =
        String::from("Built-in music, each piece cut to clips of 6 s, mixed to mono, resampled to 22,050 Hz and encoded anew:\n");
    for ([package, author, licence, source], mut titles) in pieces {
        titles.sort();
        text += &format!("- {author}: {} ({package}, {source}), {}\n", titles.join(", "), licence_with_address(&licence));
    }
    text
}

fn licence_with_address(licence: &str) -> String {
    match licence {
        "CC BY 3.0" => format!("{licence}, https://creativecommons.org/licenses/by/3.0/"),
        "CC BY-SA 3.0" => format!("{licence}, https://creativecommons.org/licenses/by-sa/3.0/"),
        "Expat" => format!("{licence} (MIT), https://spdx.org/licenses/MIT.html"),
        other => other.to_owned(),
    }
}

/// The packages' copyright files, with the licences' full texts: `(package, text)`.
pub fn licences() -> impl Iterator<Item = (&'static str, &'static str)> {
    let files = CLIPS.get_dir("LICENSES").into_iter().flat_map(Dir::files);
    files.filter_map(|file| Some((file.path().file_stem()?.to_str()?, file.contents_utf8()?)))
}
