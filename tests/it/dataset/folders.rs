use super::fixtures::*;
use melgrad::dataset::DatasetError;

#[test]
fn a_folder_per_class_is_listed_with_nested_folders_spaces_and_any_letters() {
    let root = folder();
    let at = |path: &str| root.path().join(path);
    wav(&at("Café del mar/disc 1/a song.wav"), &noise("a", 0.6));
    wav(&at("Café del mar/b.WAV"), &noise("b", 0.6));
    wav(&at("日本/曲.wav"), &noise("c", 0.6));
    ramp(&at("drums/d.npy"), 16, 8, 0.0);
    write(&at("drums/cover.jpg"), b"no sound");
    write(&at("pictures/cover.png"), b"no sound");
    std::fs::create_dir(at("empty")).expect("a folder");
    // What archivers and file managers leave behind is no data, whatever its name ends in.
    write(&at("drums/._d.wav"), b"rubbish");
    write(&at(".hidden/x.wav"), b"rubbish");
    write(&at("drums/.git/x.wav"), b"rubbish");

    let data = load(root.path()).expect("a data set");
    assert_eq!(data.classes, ["Café del mar", "drums", "日本"]);
    assert_eq!(paths(&data), ["Café del mar/b.WAV", "Café del mar/disc 1/a song.wav", "drums/d.npy", "日本/曲.wav"]);
    assert_eq!(data.samples.iter().map(|sample| sample.label).collect::<Vec<_>>(), [0, 0, 1, 2]);
    assert_eq!(data.bad, []);
    assert_eq!(data.samples[0].group, "Café del mar/b.WAV");
    let bytes = std::fs::read(at("日本/曲.wav")).expect("the file");
    assert_eq!(data.samples[3].content_hash, blake3::hash(&bytes).to_hex().to_string());
}

#[test]
fn the_order_in_which_files_were_made_changes_nothing() {
    let (one, other) = (folder(), folder());
    let mut names: Vec<String> = (0..24).map(|i| format!("{}/{i}.wav", ["rock", "jazz", "folk"][i % 3])).collect();
    for name in &names {
        wav(&one.path().join(name), &noise(name, 0.6));
    }
    names.reverse();
    for name in &names {
        wav(&other.path().join(name), &noise(name, 0.6));
    }
    let told = |root: &std::path::Path| {
        let data = load(root).expect("a data set");
        data.samples.iter().map(|sample| (sample.path.clone(), sample.split, sample.content_hash.clone())).collect::<Vec<_>>()
    };
    assert_eq!(told(one.path()), told(other.path()));
}

#[test]
fn the_folder_above_the_class_folders_is_refused_with_the_one_to_give() {
    let root = folder();
    for class in ["blues", "classical", "country"] {
        wav(&root.path().join("genres_original").join(class).join("0.wav"), &noise(class, 0.6));
    }
    write(&root.path().join("images_original/blues/0.png"), b"no sound");
    let error = refused(load(root.path()), &["genres_original", "3 folders with audio", "give that one"]);
    assert!(matches!(error, DatasetError::TooFewClasses { .. }));
    assert_eq!(load(&root.path().join("genres_original")).expect("a data set").classes.len(), 3);
}

#[test]
fn audio_outside_class_folders_is_pointed_out() {
    let loose = folder();
    wav(&loose.path().join("a.wav"), &noise("a", 0.6));
    wav(&loose.path().join("b.wav"), &noise("b", 0.6));
    refused(load(loose.path()), &["no class", "folder named after the class"]);

    let mixed = music(&[("rock", 3), ("jazz", 3)]);
    wav(&mixed.path().join("stray.wav"), &noise("stray", 0.6));
    let data = load(mixed.path()).expect("a data set");
    assert_eq!(data.samples.len(), 6);
    warned(&data, &["1 audio files", "belong to no class"]);
}

#[test]
fn a_data_set_taken_for_a_class_is_pointed_out() {
    let root = music(&[("set one", 2), ("set two", 2)]);
    write(&root.path().join("set two/manifest.csv"), b"path,label\n");
    warned(&load(root.path()).expect("a data set"), &["set two holds a manifest.csv", "give that folder"]);
}

#[test]
fn what_is_no_data_is_refused_in_words() {
    let root = folder();
    refused(load(&root.path().join("nowhere")), &["nowhere", "no such file or folder"]);
    refused(load(root.path()), &["no class with audio", "at least two classes"]);
    write(&root.path().join("song.wav"), b"x");
    refused(load(&root.path().join("song.wav")), &["not a .csv manifest", "one subfolder per class"]);
    let single = music(&[("rock", 3)]);
    refused(load(single.path()), &["only the class `rock`", "at least two"]);
}

#[cfg(unix)]
#[test]
fn linked_folders_are_followed_but_not_in_circles() {
    let root = music(&[("rock", 2), ("jazz", 2)]);
    std::os::unix::fs::symlink(root.path(), root.path().join("rock/up")).expect("a link");
    std::os::unix::fs::symlink(root.path().join("rock"), root.path().join("pop")).expect("a link");
    let data = load(root.path()).expect("a data set");
    assert_eq!(data.classes, ["jazz", "pop", "rock"]);
    assert!(paths(&data).contains(&"pop/00.wav".to_owned()), "{:?}", paths(&data));
    assert!(data.samples.len() < 30, "{} samples: a circle was walked", data.samples.len());
}
