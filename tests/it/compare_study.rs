//! What a study says beside accuracies: times by turns, clip lengths, mistakes, the baseline.

use crate::compare::{go_on, study};
use crate::compare_verify;
use crate::training::{built_in, built_in_collection, gpu, tiny_config};
use melgrad::compare::statistics::TestParts;
use melgrad::compare::{
    Contestant, Shard, StudyDirectory, conclude, mistakes, publish, summarise, time_epochs, time_rows, write_tables,
};
use melgrad::dataset::{Draw, Protocol, Split};

#[test]
fn networks_are_timed_by_turns_and_the_times_stand_in_the_tables() {
    let (gpu, data, study) = (gpu(), built_in(&tiny_config()), study(false));
    let mut told = Vec::new();
    let timing = time_epochs(&gpu, &study, 3, 100.0, |_| Ok(data.clone()), |step| told.push(step.to_owned())).unwrap();
    let names: Vec<&str> = timing.models.iter().map(|model| model.model.as_str()).collect();
    assert_eq!(names, ["indrnn", "gru"], "the baseline has no epochs");
    for model in &timing.models {
        assert!(model.epoch_seconds.len() == 3 && model.batches == model.of && model.of > 1, "{model:?}");
        assert!(model.epoch_seconds.iter().zip(&model.data_seconds).all(|(all, data)| 0.0 < *data && data < all), "{model:?}");
        assert!(model.evaluation_seconds.unwrap() > 0.0);
    }
    assert_eq!(told.iter().filter(|step| step.starts_with("round")).count(), 3);
    // A turn of no time at all is one batch, and its epoch is reckoned from that.
    let short = time_epochs(&gpu, &study, 1, 1e-9, |_| Ok(data.clone()), |_| {}).unwrap();
    assert!(short.models.iter().all(|model| model.batches == 1 && model.of == timing.models[0].of));

    let folder = tempfile::tempdir().unwrap();
    let directory = StudyDirectory::open(&folder.path().join("study"), &study).unwrap();
    assert!(time_rows(&study, &directory).unwrap().is_empty(), "nothing is known yet");
    directory.write_turns(&timing).unwrap();
    write_tables(&study, &directory).unwrap();
    let rows = time_rows(&study, &directory).unwrap();
    assert_eq!(rows, timing.rows());
    assert!(rows[0].ratio == Some(1.0) && rows[1].ratio == Some(rows[1].epoch_seconds / rows[0].epoch_seconds));
    let table = std::fs::read_to_string(directory.file("timing.csv")).unwrap();
    assert!(table.lines().count() == 3 && table.contains("published_ratio") && table.contains(&timing.adapter), "{table}");
}

#[test]
fn the_tables_of_a_study_agree_with_each_other() {
    let (gpu, data, mut study) = (gpu(), built_in(&tiny_config()), study(false));
    study.seeds.truncate(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study");
    go_on(&gpu, &study, Shard::default(), &path, &data, usize::MAX);
    let directory = StudyDirectory::open(&path, &study).unwrap();
    let (outcomes, conclusion) = conclude(&study, &directory).unwrap().unwrap();
    let rows = mistakes(&outcomes);
    let summaries = summarise(&study, &directory).unwrap();
    for (headline, summary) in conclusion.models.iter().zip(&summaries) {
        let matrix = &headline.confusion_matrix;
        let own: Vec<_> = rows.iter().filter(|row| row.model == headline.model).collect();
        let right: usize = (0..matrix.counts.len()).map(|class| matrix.counts[class][class]).sum();
        assert_eq!(own.len(), conclusion.clips - right, "{}", headline.model);
        assert!(own.iter().all(|row| row.wrong == 1 && row.runs == 1 && row.label != row.prediction));
        assert!(own.iter().all(|row| (0.0..=1.0).contains(&row.probability)));
        assert!(headline.calibration.as_ref().unwrap().brier_score > 0.0);
        // The clips last 6 s: 3 s and 6 s are heard, 15 s and 30 s not; all of it is what the test part says.
        assert_eq!(summary.lengths.iter().map(|length| length.seconds).collect::<Vec<_>>(), [3.0, 6.0]);
        assert!(summary.lengths[0].test_accuracy.is_some());
        let is_network = headline.model != Contestant::Baseline.to_string();
        assert_eq!((summary.epoch_seconds.is_some(), summary.settled_at.is_some()), (is_network, is_network));
    }
    let baseline = summaries.last().unwrap();
    let [mean, end] = [baseline.mean_over_marks, baseline.test_accuracy].map(Option::unwrap);
    assert!((mean - end).abs() < 1e-12, "no epochs change it: {mean}, {end}");
    let most = *data.class_counts(Split::Test).iter().max().unwrap() as f64 / conclusion.clips as f64;
    assert!(conclusion.majority_baseline.is_some_and(|share| share <= most));
}

#[test]
fn a_study_s_page_has_every_figure_and_is_made_again_byte_for_byte() {
    let (gpu, mut data, mut study) = (gpu(), built_in(&tiny_config()), study(false));
    study.seeds.truncate(1);
    data.classes[0] = "<script>alert('ä ö')</script>".into();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study");
    let directory = StudyDirectory::open(&path, &study).unwrap();
    assert!(publish(&study, &directory).unwrap().is_none() && !directory.file("report.html").exists(), "nothing is finished");
    go_on(&gpu, &study, Shard::default(), &path, &data, 2);
    let (_, half) = publish(&study, &directory).unwrap().unwrap();
    assert!(half.sentences.iter().any(|sentence| sentence.contains("still missing")), "{:?}", half.sentences);
    go_on(&gpu, &study, Shard::default(), &path, &data, usize::MAX);
    let (_, conclusion) = publish(&study, &directory).unwrap().unwrap();
    let page = std::fs::read_to_string(directory.file("report.html")).unwrap();
    crate::plot::check_well_formed(&crate::html::as_xml(&page));
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(&#39;ä ö&#39;)"), "names are escaped");
    for heading in
        ["Conclusion", "Results", "Every two models", "Accuracy by what is heard", "Probabilities", "Pictures", "Classes"]
    {
        assert!(page.contains(&format!("<h2>{heading}</h2>")), "{heading}");
    }
    for figure in conclusion.models.iter().map(|model| format!("{:.1}%", 100.0 * model.test_accuracy.unwrap())) {
        assert!(page.contains(&figure), "{figure}");
    }
    let names = ["accuracy_over_epochs", "class_recall", "accuracy_by_length", "confusion_matrix_gru"];
    let files: Vec<_> =
        names.iter().flat_map(|name| ["svg", "png"].map(|kind| directory.file(&format!("{name}.{kind}")))).collect();
    let read = || files.iter().map(|file| std::fs::read(file).unwrap()).collect::<Vec<_>>();
    let first = read();
    publish(&study, &directory).unwrap();
    assert!(first == read());
    assert_eq!(page, std::fs::read_to_string(directory.file("report.html")).unwrap());
}

#[test]
fn a_conclusion_says_first_how_much_of_the_test_part_is_known_already() {
    let (gpu, collection) = (gpu(), built_in_collection(&tiny_config()));
    for (protocol, leaks) in [(Protocol::LeakySegments, true), (Protocol::Grouped, false)] {
        let study = compare_verify::study(protocol, vec![0]);
        let folder = tempfile::tempdir().unwrap();
        compare_verify::finished(&gpu, &study, &collection, folder.path());
        let directory = StudyDirectory::open(&folder.path().join("study"), &study).unwrap();
        let (outcomes, conclusion) = conclude(&study, &directory).unwrap().unwrap();
        let data = collection.dataset(protocol, Draw::single(0)).unwrap();
        let of = |split: Split| data.part(split).into_iter().map(|i| &data.samples[i].group);
        let shared = of(Split::Test).filter(|group| of(Split::Train).any(|other| other == *group)).count();
        assert_eq!((outcomes.shared, outcomes.tests), (shared, data.part(Split::Test).len()), "{protocol}");
        let first = conclusion.sentences[0].as_str();
        assert_eq!((first.starts_with("protocol leaky-segments"), shared > 0), (leaks, leaks), "{:?}", conclusion.sentences);
        assert_eq!(conclusion.sentences[1].starts_with(&format!("{shared} of ")), leaks, "{:?}", conclusion.sentences);
    }
}

#[test]
fn the_statistics_are_told_how_the_clips_were_parted() {
    let (gpu, collection) = (gpu(), built_in_collection(&tiny_config()));
    for (protocol, folds) in [(Protocol::Grouped, 1), (Protocol::Grouped, 2), (Protocol::Bbnn, 1)] {
        let mut study = compare_verify::study(protocol, vec![0]);
        (study.folds, study.marks) = (folds, vec![1]);
        let folder = tempfile::tempdir().unwrap();
        compare_verify::finished(&gpu, &study, &collection, folder.path());
        let directory = StudyDirectory::open(&folder.path().join("study"), &study).unwrap();
        let (outcomes, conclusion) = conclude(&study, &directory).unwrap().unwrap();
        let draws = (0..protocol.splits(folds)).map(|fold| collection.dataset(protocol, Draw { seed: 0, folds, fold }).unwrap());
        let ratios: Vec<f64> =
            draws.map(|data| data.part(Split::Test).len() as f64 / data.part(Split::Train).len() as f64).collect();
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        assert!((outcomes.test_to_train - mean).abs() < 1e-12, "{} is not {mean}", outcomes.test_to_train);
        match (protocol, folds, outcomes.tested(&study).test_parts) {
            (Protocol::Grouped, 1, TestParts::Same) | (Protocol::Grouped, 2, TestParts::Folds) => {}
            (Protocol::Bbnn, _, TestParts::RandomSplits { test_to_train }) => assert_eq!(test_to_train, outcomes.test_to_train),
            (protocol, folds, other) => panic!("{protocol} in {folds} folds: {other:?}"),
        }
        let method = conclusion.models[0].interval.as_ref().map(|interval| interval.method.as_str());
        assert!(folds == 1 || !method.unwrap().contains("Wilson"), "{method:?}");
    }
}
