//! GTZAN (Tzanetakis & Cook 2002): known by its file names, with what others have found out about it.
//!
//! The lists are the fault-filtered split of Kereliuk, Sturm & Larsen 2015 (Deep Learning and Music Adversaries): without
//! the repetitions and distortions of Sturm 2013 (arXiv:1306.1461), and no known artist on two sides. They come from
//! Jongpil Lee's collection, see `gtzan/LICENSE`. An artist that is not known is empty in `artists.csv`.

use super::Split;
use super::source::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

const GENRES: [&str; 10] = ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"];
const TRACKS_PER_GENRE: usize = 100;
/// What the archives of GTZAN call the folder that holds the genres.
pub(super) const FOLDERS: [&str; 2] = ["genres_original", "genres"];

const LISTS: [(Split, &str); 3] = [
    (Split::Train, include_str!("gtzan/train_filtered.txt")),
    (Split::Valid, include_str!("gtzan/valid_filtered.txt")),
    (Split::Test, include_str!("gtzan/test_filtered.txt")),
];
const ARTISTS: &str = include_str!("gtzan/artists.csv");

/// `blues.00012` for `../blues/blues.00012.wav`, whatever the extension; none for other names.
pub(super) fn track(path: &Path) -> Option<&str> {
    let stem = path.file_stem()?.to_str()?;
    let (genre, number) = stem.split_once('.')?;
    let is_number = number.len() == 5 && number.parse::<usize>().is_ok_and(|number| number < TRACKS_PER_GENRE);
    let in_its_folder = path.parent()?.file_name()?.to_str()? == genre;
    (GENRES.contains(&genre) && is_number && in_its_folder).then_some(stem)
}

/// Whether it is a track of that genre.
pub(super) fn is_track_of(path: &Path, genre: &str) -> bool {
    track(path).is_some_and(|track| track.split('.').next() == Some(genre))
}

/// Whether all of it is GTZAN, or a part of it.
pub(super) fn is_gtzan(entries: &[Entry]) -> bool {
    !entries.is_empty() && entries.iter().all(|entry| is_track_of(&entry.path, &entry.label))
}

/// Gives the tracks that have no group their artist, where he is known; says how far that reaches.
pub(super) fn group_by_artist(entries: &mut [Entry]) -> Option<String> {
    let artists = artists();
    let mut known = 0;
    let without: Vec<&mut Entry> = entries.iter_mut().filter(|entry| entry.group.is_none()).collect();
    let all = without.len();
    for entry in without {
        entry.group = track(&entry.path).and_then(|track| artists.get(track)).cloned();
        known += usize::from(entry.group.is_some());
    }
    (all > 0).then(|| {
        format!("this is GTZAN: its artists are its groups, {known} of {all} tracks have a known one, each other track is a group of its own")
    })
}

fn artists() -> HashMap<String, String> {
    let mut reader = csv::Reader::from_reader(ARTISTS.as_bytes());
    let rows = reader.records().flatten();
    rows.filter(|row| !row[1].is_empty()).map(|row| (row[0].to_owned(), row[1].to_owned())).collect()
}

/// The part of each track of the fault-filtered split.
pub(super) fn filtered() -> BTreeMap<&'static str, Split> {
    let lines = LISTS.into_iter().flat_map(|(split, list)| list.lines().map(move |line| (split, line)));
    lines.filter_map(|(split, line)| Some((track(Path::new(line))?, split))).collect()
}

/// Where a track belongs below the folder that holds the genres, without an extension.
pub(super) fn place(track: &str) -> std::path::PathBuf {
    Path::new(track.split('.').next().unwrap_or_default()).join(track)
}

/// The fault-filtered parts of `names` (portable paths) and the tracks that the lists name but `names` lack.
pub(super) fn parts<'a>(names: impl Iterator<Item = &'a str>) -> (Vec<Option<Split>>, Vec<(&'static str, Split)>) {
    let mut missing = filtered();
    let lists = missing.clone();
    let parts = names
        .map(|name| {
            let track = track(Path::new(name))?;
            missing.remove(track);
            lists.get(track).copied()
        })
        .collect();
    (parts, missing.into_iter().collect())
}
