use melgrad::config::DataConfig;
use melgrad::dataset::{CachePolicy, LoadOptions, Split, attribution, licences, load_builtin};

#[test]
fn the_built_in_set_loads_whole_from_the_binary_alone() {
    let options =
        LoadOptions { frames: 130, strict: true, cache: CachePolicy::Off, data: DataConfig::default(), ..LoadOptions::default() };
    let data = load_builtin(&options, &|_, _| {}).expect("the built-in set");
    assert_eq!(data.classes, ["ambient", "electronic", "folk", "metal", "synth"]);
    assert_eq!(Split::ALL.map(|part| data.class_counts(part)), [[8; 5], [3; 5], [3; 5]].map(Vec::from));
    assert_eq!(data.warnings, Vec::<String>::new());
    assert_eq!(data.duplicates, Vec::<Vec<usize>>::new());
    for sample in &data.samples {
        assert!((5.9..6.2).contains(&sample.clip.seconds()), "{}: {} s", sample.path.display(), sample.clip.seconds());
    }
    let kinds: std::collections::BTreeSet<_> = data.samples.iter().filter_map(|sample| sample.path.extension()).collect();
    assert_eq!(kinds.len(), 5, "{kinds:?}");
}

#[test]
fn everybody_who_made_the_built_in_music_is_named_with_the_licence() {
    let text = attribution();
    for words in [
        "Max McCracken: A New Journey, Aberrations",
        "Shawn Parrotte",
        "Lincoln Domina",
        "Will Savino",
        "El Senator (Muldjord): armygeddon",
        "Carlos Viola Iborra",
        "Unknown Horizons Team",
        "azrael1322: azrael1",
        "https://creativecommons.org/licenses/by-sa/3.0/",
        "https://creativecommons.org/licenses/by/3.0/",
        "MIT",
        "cut to clips",
    ] {
        assert!(text.contains(words), "`{words}` is missing in:\n{text}");
    }
    let packages: Vec<_> = licences().map(|(package, text)| (package, text.len() > 500)).collect();
    assert_eq!(packages.len(), 6);
    assert!(packages.iter().all(|(package, long)| *long && text.contains(package)), "{packages:?}");
}
