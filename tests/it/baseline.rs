//! The simple baseline against scikit-learn (tests/fixtures/baseline/make.py).

use melgrad::dataset::{Clip, Dataset, Sample, Split};
use melgrad::features::{Features, read_npy};
use melgrad::reference::noise::Noise;
use melgrad::train::baseline::{Baseline, BaselineError, Logistic};
use std::path::Path;
use std::sync::Arc;

const CLIPS: usize = 96;
const CLASSES: usize = 4;
const FRAMES: usize = 19;
const BANDS: usize = 6;

fn label(clip: usize) -> usize {
    (clip * clip) % 7 % CLASSES
}

fn clip(index: usize) -> Arc<Clip> {
    let noise = Noise::new(index as u64).numbers(FRAMES * BANDS);
    let level = |band: usize| ((label(index) + 1) * (band + 1) % 5) as f64;
    let data = noise.iter().enumerate().map(|(i, x)| (32.0 * x + 4.0 * level(i % BANDS) - 40.0) as f32).collect();
    Arc::new(Clip::new(Features { frames: FRAMES, n_mels: BANDS, data }, 1.0, None))
}

fn data() -> Dataset {
    let sample = |i: usize| Sample {
        path: format!("{i}").into(),
        label: label(i),
        split: if i % 4 < 2 { Split::Train } else { Split::Test },
        group: format!("group {i}"),
        content_hash: String::new(),
        clip: clip(i),
    };
    Dataset {
        classes: (0..CLASSES).map(|class| format!("class {class}")).collect(),
        n_mels: BANDS,
        frames: FRAMES,
        samples: (0..CLIPS).map(sample).collect(),
        bad: vec![],
        duplicates: vec![],
        warnings: vec![],
    }
}

#[test]
fn its_probabilities_are_those_of_scikit_learn() {
    let data = data();
    let baseline = Baseline::fit(&data).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/baseline/probabilities.npy");
    let expected = read_npy(&path).unwrap();
    assert_eq!((expected.frames, expected.n_mels), (CLIPS, CLASSES));
    let mut worst: f32 = 0.0;
    for (sample, expected) in data.samples.iter().zip(expected.rows()) {
        let probabilities = baseline.probabilities(&sample.clip);
        assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert_eq!(probabilities[3], 0.0, "a class without training clips is never named");
        worst = probabilities.iter().zip(expected).fold(worst, |worst, (a, b)| worst.max((a - b).abs()));
    }
    println!("largest difference to scikit-learn: {worst:e}");
    assert!(worst < 1e-5, "{worst:e}");
    assert_eq!(baseline.parameters(), 3 * (3 * BANDS + 1));
}

#[test]
fn it_predicts_a_part_in_its_order_and_twice_the_same() {
    let data = data();
    let [first, second] = [(); 2].map(|()| Baseline::fit(&data).unwrap().predict_part(&data, Split::Test));
    assert_eq!(first, second);
    let names: Vec<_> = data.part(Split::Test).iter().map(|&i| (data.samples[i].name(), data.samples[i].label as u32)).collect();
    assert_eq!(first.iter().map(|p| (p.path.clone(), p.label)).collect::<Vec<_>>(), names);
    let right = first.iter().filter(|p| p.class() == p.label).count();
    assert_eq!(right, 43, "of 48, as scikit-learn has it: 0.8958");
}

#[test]
fn it_depends_on_the_training_part_alone() {
    let mut changed = data();
    changed.samples.retain(|sample| sample.split == Split::Train || sample.label == 1);
    let of = |data: &Dataset| Baseline::fit(data).unwrap().probabilities(&clip(2));
    assert_eq!(of(&data()), of(&changed));
    changed.samples[0].clip = clip(1);
    assert_ne!(of(&data()), of(&changed));
}

#[test]
fn odd_training_parts_are_no_trouble() {
    let mut one_class = data();
    one_class.samples.retain(|sample| sample.split == Split::Test || sample.label == 2);
    assert_eq!(Baseline::fit(&one_class).unwrap().probabilities(&clip(0)), [0.0, 0.0, 1.0, 0.0]);
    let mut nothing = data();
    nothing.samples.retain(|sample| sample.split == Split::Test);
    assert!(matches!(Baseline::fit(&nothing), Err(BaselineError::NothingToFit)));
    // Silence: every number the same in every clip.
    let mut silent = data();
    let silence = Clip::new(Features { frames: FRAMES, n_mels: BANDS, data: vec![-80.0; FRAMES * BANDS] }, 1.0, None);
    silent.samples.iter_mut().for_each(|sample| sample.clip = Arc::new(silence.clone()));
    let shares = silent.class_counts(Split::Train).into_iter().map(|count| count as f32 / 48.0);
    for (probability, share) in Baseline::fit(&silent).unwrap().probabilities(&silence).into_iter().zip(shares) {
        assert!((probability - share).abs() < 1e-6, "{probability} is not {share}");
    }
}

#[test]
fn separable_data_converges_too() {
    let rows: Vec<Vec<f64>> = (0..40).map(|i| vec![f64::from(i) - 19.5, f64::from(i % 3)]).collect();
    let labels: Vec<usize> = (0..40).map(|i| usize::from(i >= 20)).collect();
    let model = Logistic::fit(&rows, &labels, 2, 1e4).unwrap();
    assert!(rows.iter().zip(&labels).all(|(row, &label)| model.probabilities(row)[label] > 0.5));
}
