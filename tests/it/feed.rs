//! Batches gathered from clips on the device and batches that are streamed train alike, bit for bit.

use crate::training::{Recorder, built_in, small_model, tiny_config};
use melgrad::config::{AugmentConfig, Config, ModelName};
use melgrad::dataset::{Clip, Dataset, Sample, Split};
use melgrad::features::Features;
use melgrad::gpu::{Gpu, GpuOptions};
use melgrad::reference::noise::Noise;
use melgrad::train::run_directory::RunDirectory;
use melgrad::train::{DeviceClips, train_to_marks};
use std::collections::BTreeMap;
use std::sync::Arc;

const EVERYTHING: AugmentConfig = AugmentConfig {
    random_crop: true,
    gain_db: 6.0,
    time_shift: 16,
    time_masks: 2,
    time_mask_frames: 9,
    mel_masks: 3,
    mel_mask_bands: 5,
};

/// A device with room for so many bytes of data.
fn gpu(room: u64) -> Gpu {
    let options = GpuOptions { choice: crate::chosen(), room_for_data: Some(room), ..GpuOptions::default() };
    Gpu::open(&options).expect("the tests need a GPU adapter")
}

/// What a run leaves that its numbers decide.
fn left(gpu: &Gpu, clips: &DeviceClips, config: &Config, data: &Dataset, marks: &[usize]) -> Vec<(&'static str, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDirectory::create(Some(&folder.path().join("run")), "feed").unwrap();
    let config =
        Config { data: melgrad::config::DataConfig { classes: data.classes.clone(), ..config.data.clone() }, ..config.clone() };
    train_to_marks(gpu, clips, &config, data, &run, marks, &mut Recorder::default()).unwrap();
    let files = [
        "best/model.safetensors",
        "best/optimizer.safetensors",
        "last/model.safetensors",
        "last/optimizer.safetensors",
        "evaluation.json",
        "predictions.csv",
    ];
    files.into_iter().map(|file| (file, std::fs::read(run.file(file)).unwrap())).collect()
}

/// Trains with the data on the device and with batches that are streamed.
fn both_ways(name: &str, config: &Config, data: &Dataset, marks: &[usize]) -> Vec<(&'static str, Vec<u8>)> {
    let (clips, none) = (DeviceClips::default(), DeviceClips::default());
    let gathered = left(&gpu(1 << 30), &clips, config, data, marks);
    let streamed = left(&gpu(0), &none, config, data, marks);
    let files: BTreeMap<_, _> =
        data.samples.iter().map(|sample| sample.clip.features()).map(|file| (file.data.as_ptr(), 4 * file.data.len())).collect();
    let bytes: usize = files.values().sum();
    assert_eq!((clips.bytes(), none.bytes()), (bytes as u64, 0), "{name}: what lies on the device");
    for ((file, one), (_, other)) in gathered.iter().zip(&streamed) {
        assert!(one == other, "{name}: {file} differs");
    }
    gathered
}

/// Clips of noise, of different lengths; those of the test part are `longer` times as long.
fn noise(frames: usize, n_mels: usize, clips: usize, longer: usize, window_top_db: Option<f32>) -> Dataset {
    let mut noise = Noise::new(frames as u64);
    let sample = |i: usize| {
        let split = [Split::Train, Split::Train, Split::Train, Split::Valid, Split::Test][i % 5];
        let frames = (frames + 3 * i) * if split == Split::Test { longer } else { 1 };
        let data = noise.numbers(frames * n_mels).into_iter().map(|x| (40.0 * x - 40.0) as f32).collect();
        let clip = Arc::new(Clip::new(Features { frames, n_mels, data }, 30.0, window_top_db));
        let name = i.to_string();
        Sample { path: name.clone().into(), label: i % 3, split, group: name.clone(), content_hash: name, clip }
    };
    Dataset {
        classes: ["a", "b", "c"].map(String::from).into(),
        n_mels,
        frames,
        samples: (0..clips).map(sample).collect(),
        bad: Vec::new(),
        duplicates: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Every clip in three parts, each a sample.
fn in_segments(data: &Dataset) -> Dataset {
    let parts = |sample: &Sample| {
        let third = sample.clip.frames() / 3;
        [0, third, 2 * third].map(|first| Sample { clip: Arc::new(sample.clip.segment(first, third)), ..sample.clone() })
    };
    Dataset { samples: data.samples.iter().flat_map(parts).collect(), frames: data.frames / 3, ..data.clone() }
}

fn small(name: ModelName, frames: usize) -> Config {
    let mut config = tiny_config();
    config.model = small_model(name);
    (config.train.frames, config.train.batch_size, config.train.epochs) = (frames, 5, 3);
    config
}

#[test]
fn a_run_on_music_leaves_the_same_bits_either_way() {
    let mut config = tiny_config();
    config.train.epochs = 2;
    let data = built_in(&config);
    both_ways("music", &config, &data, &[1]);
}

#[test]
fn every_augmentation_and_recipe_leaves_the_same_bits_either_way() {
    let plain = small(ModelName::Indrnn, 16);
    let mut augmented = plain.clone();
    augmented.augment = EVERYTHING;
    let mut recipe = augmented.clone();
    (recipe.model.dropout, recipe.train.accumulation) = (0.25, 2);
    let data = noise(16, 8, 29, 3, None);
    let first = both_ways("plain", &plain, &data, &[]);
    assert!(first != both_ways("augmented", &augmented, &data, &[2]), "augmentation has no influence");
    both_ways("recipe", &recipe, &data, &[]);
    both_ways("images", &Config { model: small(ModelName::Bbnn, 16).model, ..augmented.clone() }, &data, &[]);
    both_ways("segments", &augmented, &in_segments(&noise(50, 8, 12, 1, None)), &[]);
    // Bands that do not come in fours, and a floor for each window.
    both_ways("floor", &augmented, &noise(16, 7, 14, 2, Some(35.0)), &[]);
}

#[test]
fn data_that_no_single_binding_holds_leaves_the_same_bits_either_way() {
    let config = small(ModelName::Indrnn, 16);
    let mut data = noise(16, 128, 20, 1, None);
    let limit = gpu(0).summary().max_binding_bytes;
    // Clips of a third of a binding each, where that is little enough to try.
    let frames = (limit / 3 / 512 + 1) as usize;
    if limit > 256 << 20 {
        return println!("bindings of {limit} bytes: not tried");
    }
    let long = Features { frames, n_mels: 128, data: vec![-30.0; 128 * frames] };
    for place in [0, 6, 12] {
        let mut features = long.clone();
        features.data.iter_mut().enumerate().for_each(|(i, decibels)| *decibels += (i % (97 + place)) as f32);
        data.samples[place].clip = Arc::new(Clip::new(features, 30.0, None));
    }
    both_ways("chunks", &config, &data, &[]);
}

#[test]
fn runs_on_one_data_set_share_what_lies_on_the_device() {
    let (gpu, clips, config) = (gpu(1 << 30), DeviceClips::default(), small(ModelName::Gru, 16));
    let data = noise(16, 8, 20, 1, None);
    let first = left(&gpu, &clips, &config, &data, &[]);
    let held = gpu.allocated_bytes();
    assert!(held >= clips.bytes() && clips.bytes() > 0);
    // A part of it in another order, as another fold is.
    let mut other = data.clone();
    other.samples.truncate(15);
    other
        .samples
        .iter_mut()
        .for_each(|sample| sample.split = [Split::Test, Split::Train][usize::from(sample.split == Split::Train)]);
    assert!(first != left(&gpu, &clips, &config, &other, &[]));
    assert_eq!(gpu.allocated_bytes(), held, "nothing was sent again");
    assert!(first == left(&gpu, &clips, &config, &data, &[]), "and nothing was changed");
    left(&gpu, &clips, &config, &noise(16, 8, 10, 1, None), &[]);
    assert!(gpu.allocated_bytes() < held, "other data take the place of what was there");
}
