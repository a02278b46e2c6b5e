use super::fixtures::*;
use melgrad::dataset::{CachePolicy, Dataset, LoadOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

fn cached(folder: &Path) -> LoadOptions {
    LoadOptions { cache: CachePolicy::Folder(folder.into()), ..options() }
}

/// Every file of the cache, sorted.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(inside) = std::fs::read_dir(folder) else { return found };
    for entry in inside {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(entries(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[track_caller]
fn same_features(one: &Dataset, other: &Dataset) {
    assert_eq!(paths(one), paths(other));
    for (a, b) in one.samples.iter().zip(&other.samples) {
        assert!(a.clip.features() == b.clip.features() && a.clip.seconds() == b.clip.seconds(), "{}", a.path.display());
    }
}

#[test]
fn features_are_kept_by_content_and_read_back_the_same() {
    let (root, cache) = (music(&[("rock", 3), ("jazz", 3)]), folder());
    let plain = load(root.path()).expect("a data set");
    let first = load_with(root.path(), &cached(cache.path())).expect("a data set");
    let kept = entries(cache.path());
    assert_eq!(kept.len(), 6);
    assert!(kept.iter().all(|path| path.parent().and_then(Path::file_name).is_some_and(|shard| shard.len() == 2)), "{kept:?}");
    let second = load_with(root.path(), &cached(cache.path())).expect("a data set");
    same_features(&plain, &first);
    same_features(&plain, &second);

    // Names do not matter, and the entries are what is read: one put in another's place is taken for it.
    std::fs::rename(root.path().join("rock/00.wav"), root.path().join("rock/renamed.wav")).expect("renamed");
    for path in &kept[1..] {
        std::fs::copy(&kept[0], path).expect("copied");
    }
    let poisoned = load_with(root.path(), &cached(cache.path())).expect("a data set");
    assert_eq!(entries(cache.path()), kept);
    assert_eq!(poisoned.samples[0].clip.features(), poisoned.samples[5].clip.features());
}

#[test]
fn other_settings_have_entries_of_their_own() {
    let (root, cache) = (music(&[("rock", 3), ("jazz", 3)]), folder());
    let count = |change: &dyn Fn(&mut LoadOptions)| {
        let mut options = cached(cache.path());
        change(&mut options);
        let data = load_with(root.path(), &options).expect("a data set");
        options.cache = CachePolicy::Off;
        same_features(&data, &load_with(root.path(), &options).expect("a data set"));
        entries(cache.path()).len()
    };
    assert_eq!(count(&|_| {}), 6);
    assert_eq!(count(&|options| options.features.n_mels = 20), 12);
    assert_eq!(count(&|options| options.features.top_db = 30.0), 18);
    // The crop length matters only to clips that are padded to it.
    assert_eq!(count(&|options| options.frames = 20), 18);
    assert_eq!(count(&|options| options.frames = 60), 24);
    assert_eq!(count(&|options| options.frames = 61), 30);
    assert_eq!(count(&|options| options.frames = 20), 30);
}

#[test]
fn a_much_longer_file_is_kept_apart_from_the_same_file_as_a_whole() {
    let (root, cache) = (music(&[("rock", 3), ("jazz", 2)]), folder());
    wav(&root.path().join("jazz/long.wav"), &noise("long", 65.0));
    let cuts = |frames| {
        let data = load_with(root.path(), &LoadOptions { frames, ..cached(cache.path()) }).expect("a data set");
        sample(&data, "jazz/long.wav").clip.cuts_per_window()
    };
    for _ in 0..2 {
        assert!(!cuts(2000), "65 s are two windows of 2000 frames");
        assert!(cuts(30));
    }
}

#[test]
fn a_damaged_entry_is_computed_again_and_replaced() {
    let (root, cache) = (music(&[("rock", 3), ("jazz", 3)]), folder());
    let good = load_with(root.path(), &cached(cache.path())).expect("a data set");
    let kept = entries(cache.path());
    let bytes: Vec<Vec<u8>> = kept.iter().map(|path| std::fs::read(path).expect("an entry")).collect();
    let flipped = |at: usize| {
        let mut damaged = bytes[at].clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        damaged
    };
    write(&kept[0], &flipped(0));
    write(&kept[1], &bytes[1][..bytes[1].len() - 5]);
    write(&kept[2], b"");
    write(&kept[3], &bytes[3][..10]);
    write(&kept[4], &[&bytes[4][..], b"more"].concat());
    std::fs::remove_file(&kept[5]).expect("removed");
    same_features(&good, &load_with(root.path(), &cached(cache.path())).expect("a data set"));
    for (path, bytes) in kept.iter().zip(&bytes) {
        assert!(std::fs::read(path).expect("an entry") == *bytes, "{} was not mended", path.display());
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_worth_one_warning() {
    let (root, cache) = (music(&[("rock", 3), ("jazz", 3)]), folder());
    let file = cache.path().join("a file, not a folder");
    write(&file, b"");
    let data = load_with(root.path(), &cached(&file)).expect("a data set all the same");
    assert_eq!(data.samples.len(), 6);
    assert_eq!(data.warnings.iter().filter(|warning| warning.contains("cannot be cached")).count(), 1, "{:?}", data.warnings);
}

#[test]
fn many_threads_may_fill_one_cache_at_once() {
    let (root, cache) = (music(&[("rock", 12), ("jazz", 12)]), folder());
    let plain = load(root.path()).expect("a data set");
    std::thread::scope(|scope| {
        let loads: Vec<_> = (0..6).map(|_| scope.spawn(|| load_with(root.path(), &cached(cache.path())))).collect();
        for load in loads {
            same_features(&plain, &load.join().expect("no panic").expect("a data set"));
        }
    });
    assert_eq!(entries(cache.path()).len(), 24, "temporary files stayed behind");
    same_features(&plain, &load_with(root.path(), &cached(cache.path())).expect("a data set"));
}

const DATA: &str = "MELGRAD_TEST_DATA";

/// The writer that the test below starts: without its variable it has nothing to do. The cache is named as a user
/// names it, by `MELGRAD_CACHE_DIR`.
#[test]
#[ignore = "a part of the test below, which runs it in processes of their own"]
fn one_writer_among_several() {
    let Some(root) = std::env::var_os(DATA) else { return };
    load_with(Path::new(&root), &LoadOptions { cache: CachePolicy::User, ..options() }).expect("a data set");
}

#[test]
fn many_processes_may_fill_the_cache_that_the_environment_names() {
    let (root, cache) = (music(&[("rock", 12), ("jazz", 12)]), folder());
    let this = std::env::current_exe().expect("the test binary");
    let name = concat!(module_path!(), "::one_writer_among_several");
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    let start = || {
        let mut command = Command::new(&this);
        command.args(["--exact", "--ignored", name]).env(DATA, root.path()).env("MELGRAD_CACHE_DIR", cache.path());
        command.stdout(std::process::Stdio::null()).spawn().expect("a process")
    };
    let writers: Vec<_> = (0..4).map(|_| start()).collect();
    for mut writer in writers {
        assert!(writer.wait().expect("an end").success());
    }
    assert_eq!(entries(cache.path()).len(), 24);
    let plain = load(root.path()).expect("a data set");
    same_features(&plain, &load_with(root.path(), &cached(cache.path())).expect("a data set"));
}
