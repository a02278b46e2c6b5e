//! Small data sets on disk: sounds that differ from file to file, and features whose values tell where they come from.

use melgrad::config::{DataConfig, FeatureConfig};
use melgrad::dataset::{CachePolicy, Dataset, DatasetError, LoadOptions, Sample};
use melgrad::features::{Features, write_npy};
use std::path::Path;
use tempfile::TempDir;

pub const RATE: u32 = 8000;

/// Small features (16 bands, hop 128 at 8 kHz), crops of 8 frames, no cache.
pub fn options() -> LoadOptions {
    let features = FeatureConfig { sample_rate: RATE, n_fft: 256, hop_length: 128, n_mels: 16, ..FeatureConfig::default() };
    LoadOptions { features, frames: 8, cache: CachePolicy::Off, data: DataConfig::default(), ..LoadOptions::default() }
}

pub fn load(path: &Path) -> Result<Dataset, DatasetError> {
    load_with(path, &options())
}

pub fn load_with(path: &Path, options: &LoadOptions) -> Result<Dataset, DatasetError> {
    melgrad::dataset::load(path, options, &|_, _| {})
}

/// A folder of its own, removed when dropped.
pub fn folder() -> TempDir {
    tempfile::Builder::new().prefix("mélgrad data ").tempdir().expect("a temporary folder")
}

/// A folder with so many wavs of 0.6 s in each class.
pub fn music(classes: &[(&str, usize)]) -> TempDir {
    let root = folder();
    for (class, count) in classes {
        for i in 0..*count {
            wav(&root.path().join(class).join(format!("{i:02}.wav")), &noise(&format!("{class}{i}"), 0.6));
        }
    }
    root
}

/// White noise that the name alone decides.
pub fn noise(name: &str, seconds: f64) -> Vec<i16> {
    let mut state =
        name.bytes().fold(0x9e37_79b9_7f4a_7c15u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 48) as u16 as i16 / 4
    };
    std::iter::repeat_with(next).take((seconds * f64::from(RATE)) as usize).collect()
}

pub fn wav_bytes(samples: &[i16]) -> Vec<u8> {
    wav_bytes_at(RATE, samples)
}

pub fn wav_bytes_at(rate: u32, samples: &[i16]) -> Vec<u8> {
    let size = 2 * samples.len() as u32;
    let mut bytes = Vec::from(*b"RIFF");
    bytes.extend((36 + size).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    bytes.extend([1, 0, 1, 0]);
    bytes.extend(rate.to_le_bytes());
    bytes.extend((2 * rate).to_le_bytes());
    bytes.extend([2, 0, 16, 0]);
    bytes.extend(b"data");
    bytes.extend(size.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    bytes
}

pub fn wav(path: &Path, samples: &[i16]) {
    write(path, &wav_bytes(samples));
}

/// The same sound in Sun's format: other bytes, equal samples.
pub fn au(path: &Path, samples: &[i16]) {
    let mut bytes = Vec::from(*b".snd");
    bytes.extend([24, 2 * samples.len() as u32, 3, RATE, 1].iter().flat_map(|word| word.to_be_bytes()));
    bytes.extend(samples.iter().flat_map(|sample| sample.to_be_bytes()));
    write(path, &bytes);
}

/// Features of so many frames, where every band of frame `t` is `base + t`.
pub fn ramp(path: &Path, n_mels: usize, frames: usize, base: f32) {
    let data = (0..frames).flat_map(|t| vec![base + t as f32; n_mels]).collect();
    features(path, &Features { frames, n_mels, data });
}

pub fn features(path: &Path, features: &Features) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for the features");
    write_npy(path, features).expect("features written");
}

pub fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for the file");
    std::fs::write(path, bytes).expect("a file written");
}

pub fn manifest(root: &Path, text: &str) {
    write(&root.join("manifest.csv"), text.as_bytes());
}

pub fn paths(data: &Dataset) -> Vec<String> {
    data.samples.iter().map(|sample| sample.path.to_string_lossy().replace('\\', "/")).collect()
}

pub fn sample<'a>(data: &'a Dataset, path: &str) -> &'a Sample {
    let same = |sample: &&Sample| sample.path == Path::new(path);
    data.samples.iter().find(same).unwrap_or_else(|| panic!("{path} is not among {:?}", paths(data)))
}

/// The message of a load that must fail, with every one of the words in it.
#[track_caller]
pub fn refused(result: Result<Dataset, DatasetError>, words: &[&str]) -> DatasetError {
    let error = result.map(|data| format!("{:?}, warned: {:?}", paths(&data), data.warnings)).expect_err("must be refused");
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
    error
}

/// One of the warnings has all the words.
#[track_caller]
pub fn warned(data: &Dataset, words: &[&str]) {
    let fits = |warning: &String| words.iter().all(|word| warning.contains(word));
    assert!(data.warnings.iter().any(fits), "no warning with {words:?} among {:#?}", data.warnings);
}
